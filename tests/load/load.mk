# The promises about connections and JSON at full count (minutes); small counts are part of tests/e2e.
.PHONY: load-tests
load-tests: all $(B)/fake_worker
	tools/json_test_suite.sh
	python3 -m pytest -q -rs tests/e2e/test_json.py tests/e2e/test_raw_http.py
	python3 tests/load/connections.py
