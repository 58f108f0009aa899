#!/bin/sh
# Runs the test programs given as arguments, one after another, and prints one closing line. Each may take TEST_SECONDS (default 120).
set -u
failed=0
passed=0
log=$(mktemp)
trap 'rm -f "$log"' EXIT
for program in "$@"; do
    if timeout "${TEST_SECONDS:-120}" "$program" >"$log" 2>&1; then
        passed=$((passed + $(grep -c '^\[       OK \]' "$log")))
        grep -h '^SKIPPED' "$log"
    else
        status=$?
        failed=$((failed + 1))
        echo "FAILED $program (status $status)"
        cat "$log"
    fi
done
echo "unit tests: $# programs"
echo "$passed passed, $failed failed"
[ $failed -eq 0 ]
