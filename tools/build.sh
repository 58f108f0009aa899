#!/bin/sh
# Runs make with its output in a log and one line of progress instead: tools/build.sh LOG [MAKE ARGUMENTS].
# On a terminal the line is rewritten, elsewhere it is printed at every tenth part. A failure shows the log's end.
set -u
cd "$(dirname "$0")/.." || exit 1
log=$1
shift
mkdir -p "$(dirname "$log")"
jobs=$(getconf _NPROCESSORS_ONLN 2>/dev/null || echo 2)
# With many processors and little memory the compilers would not fit.
[ "$jobs" -gt 32 ] && jobs=32

total=$(make -n "$@" 2>/dev/null | grep -c '^echo "  CC ')
if [ "$total" -gt 0 ]; then
    echo "build: $total files to compile, $jobs at a time"
fi
{
    rc=0
    make -j"$jobs" "$@" 2>&1 || rc=$?
    echo "make: exit status $rc"
} | {
    : >"$log"
    count=0
    shown=0
    last=
    while IFS= read -r line; do
        printf '%s\n' "$line" >>"$log"
        last=$line
        case $line in "  CC "*) ;; *) continue ;; esac
        count=$((count + 1))
        [ "$count" -gt "$total" ] && total=$count
        if [ -t 1 ]; then
            printf '\rbuild: %d of %d ' "$count" "$total"
        elif [ $((count * 10 / total)) -gt $shown ]; then
            shown=$((count * 10 / total))
            echo "build: $count of $total"
        fi
    done
    [ -t 1 ] && [ "$count" -gt 0 ] && echo
    [ "$last" = "make: exit status 0" ] && exit 0
    tail -30 "$log" >&2
    echo "build: failed; everything it printed is in $log" >&2
    exit 1
}
