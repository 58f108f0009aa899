# The promises about connections and JSON at full count (minutes); small counts are part of tests/e2e. JSONTestSuite is fetched once,
# unless JSON_TEST_SUITE says where it is. Python needs nothing of its own, pytest is Debian's python3-pytest (bin/setup --test) or the
# command that PYTEST names.
PYTEST ?= $(shell command -v pytest || command -v pytest-3)
define have_pytest
	@test -n "$(PYTEST)" || { echo "pytest is missing: bin/setup --test installs it, PYTEST=COMMAND names it" >&2; exit 1; }
endef

.PHONY: load-tests faults
load-tests: all $(B)/fake_worker
	$(have_pytest)
	python3 tests/load/table.py load --pytest "$(PYTEST)"

# The full counts of tests/e2e/test_faults.py.
faults: all $(B)/fake_worker $(B)/test_fetcher
	$(have_pytest)
	python3 tests/load/table.py faults --pytest "$(PYTEST)"

# Threads meet in the worker (line, scheduler, pool): its unit tests, and a share of the end-to-end tests, under ThreadSanitizer. Programs
# that tests kill, and memory that a fake worker exhausts, leave reports too: only races count. Addresses stay where they are (setarch),
# or the sanitizer finds its own taken.
TSAN_TESTS := misbehaves or wedged or dead_worker or leave_at_any_time or begin_again or test_model
.PHONY: tsan
tsan:
	$(have_pytest)
	@rm -rf build/thread/reports && mkdir -p build/thread/reports
	$(MAKE) SAN=thread build/thread/vlmd build/thread/fake_worker build/thread/test_fetcher
	setarch $(MACHINE) -R $(MAKE) SAN=thread unit UNIT='worker/% backend/cpu/test_threads engine/% ipc/%'
	VLMD_PROGRAM=$(CURDIR)/build/thread/vlmd TSAN_OPTIONS=log_path=$(CURDIR)/build/thread/reports/report \
	setarch $(MACHINE) -R $(PYTEST) -q tests/e2e/test_life.py tests/e2e/test_model.py -k "$(TSAN_TESTS)"
	@! grep -l "data race" build/thread/reports/* 2>/dev/null
