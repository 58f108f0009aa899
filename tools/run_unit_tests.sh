#!/bin/sh
# Runs the test programs given as arguments, one after another: a line for each, its output when it fails, and one
# closing line. Each may take TEST_SECONDS (default 120).
set -u
log=$(mktemp)
trap 'rm -f "$log"' EXIT
limit=
command -v timeout >/dev/null 2>&1 && limit="timeout ${TEST_SECONDS:-120}"

passed=0
failed=0
for program in "$@"; do
    name=${program##*/unit/}
    # shellcheck disable=SC2086 # limit is two words or none
    $limit "$program" >"$log" 2>&1
    status=$?
    ok=$(grep -c '^\[       OK \]' "$log")
    passed=$((passed + ok))
    skipped=$(grep '^\[  SKIPPED \]' "$log" | grep -v ' test(s)' | sort -u | wc -l)
    if [ $status -eq 0 ] && [ $((ok + skipped)) -gt 0 ]; then
        echo "ok      $name: $ok tests"
        [ "$skipped" -eq 0 ] || echo "SKIPPED $name: $skipped tests $(grep -m 1 '^SKIPPED' "$log" | sed 's/^SKIPPED//')"
        continue
    fi
    # A crash, a time-out and a program without a single test count as one failure.
    broken=$(grep '^\[  FAILED  \]' "$log" | grep -v ' test(s)' | sort -u | wc -l)
    [ "$broken" -gt 0 ] || broken=1
    failed=$((failed + broken))
    cat "$log"
    echo "FAILED  $name (status $status)"
done
echo "unit tests: $# programs"
echo "$passed passed, $failed failed"
[ $failed -eq 0 ] && [ $# -gt 0 ]
