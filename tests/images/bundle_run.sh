#!/bin/sh
# run.sh [JOBS [COUNT [SEED]]]: COUNT mutants of pictures/, shared among JOBS processes, each with seeds of its own. Prints what each
# said and a sum; the exit status is 1 when one of them ended badly. What a sanitizer or the program complained of is in out/N.err.
cd "$(dirname "$0")" || exit 2
jobs=${1:-$(getconf _NPROCESSORS_ONLN)}
count=${2:-1000000}
seed=${3:-1}
each=$(((count + jobs - 1) / jobs))
rm -rf out
mkdir out
export ASAN_OPTIONS=detect_leaks=1:abort_on_error=0:allocator_may_return_null=1 UBSAN_OPTIONS=halt_on_error=1:print_stacktrace=1
started=$(date +%s)
i=0
while [ "$i" -lt "$jobs" ]; do
    (
        lib/loader --library-path lib ./program -m "$each" -s "$((seed + i * 1000003))" pictures/* >"out/$i.txt" 2>"out/$i.err"
        echo $? >"out/$i.status"
    ) &
    i=$((i + 1))
done
wait
cat out/*.txt
awk -v jobs="$jobs" -v seconds="$(($(date +%s) - started))" '
    { decoded += $1; refused += $3; for (i = 1; i <= NF; i++) if ($i ~ /^complaints/) complaints += $(i - 1) }
    END { printf "in all: %d mutants, %d decoded, %d refused, %d complaints; %d of %d processes told the end; %d s\n",
          decoded + refused, decoded, refused, complaints, NR, jobs, seconds }' out/*.txt
if grep -qv '^0$' out/*.status; then
    echo "NOT WELL:"
    tail -n 5 out/*.err
    exit 1
fi
echo "all well"
