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
