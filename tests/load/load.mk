# The promises about connections and JSON at full count (minutes); small counts are part of tests/e2e. JSONTestSuite is fetched once,
# unless JSON_TEST_SUITE says where it is.
.PHONY: load-tests
load-tests: all $(B)/fake_worker
	python3 tests/load/connections.py
	test -n "$$JSON_TEST_SUITE" || tools/json_test_suite.sh
	python3 -m pytest -q -rs tests/e2e/test_json.py tests/e2e/test_raw_http.py
