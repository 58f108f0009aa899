#!/bin/sh
# Small rules that a compiler does not check: length of files, tabs and blanks at line ends, headers
# that compile on their own, scripts that parse, links that lead somewhere. Prints every breach; the layers have their own check.
set -u
cd "$(dirname "$0")/.." || exit 1
bad=0
complain() {
    echo "$1" >&2
    bad=1
}

code=$(find include src tests bench tools -name '*.[ch]' -o -name '*.cu' -o -name '*.m' -o -name '*.py' -o -name '*.sh')
for file in $code; do
    lines=$(($(wc -l <"$file")))
    [ "$lines" -le 800 ] || complain "$file: $lines lines; more than 800 want to be two files"
done

blank=$(printf '[ \t]$')
tab=$(printf '\t')
scripts="bin/setup bin/demo bin/test .ci/run $(find tools -name '*.sh')"
for file in $code $scripts $(find . -maxdepth 1 -name '*.md') $(find docs -name '*.md'); do
    [ -e "$file" ] || continue
    grep -n "$blank" "$file" /dev/null && complain "$file: blanks at the end of a line"
    grep -n "$tab" "$file" /dev/null && complain "$file: a tab"
done

for file in $scripts; do
    [ -e "$file" ] || continue
    sh -n "$file" || complain "$file: does not parse"
done

# A header that needs another header says so itself.
for file in $(find include src -name '*.h'); do
    case $file in src/backend/cpu/simd*.h) continue ;; esac # want the flags of one instruction set
    grep -q '#pragma once' "$file" || complain "$file: no #pragma once"
    echo "#include \"${file#*/}\"" | ${CC:-cc} -std=gnu17 -D_GNU_SOURCE -Iinclude -Isrc -Ibuild/deps/llhttp/include \
        -fsyntax-only -fmax-errors=1 -x c - || complain "$file: does not compile on its own"
done
# Links between our own pages lead somewhere.
for page in $(find . -name '*.md' -not -path './build/*' -not -path './.*'); do
    for target in $(grep -oE '\]\([^)# ]+' "$page" | sed 's/^](//' | grep -vE '^(https?|mailto):'); do
        [ -e "$(dirname "$page")/$target" ] || complain "$page: link to $target leads nowhere"
    done
done
[ $bad -eq 0 ] && echo "lint: $(echo "$code" | wc -w | tr -d ' ') files in order"
exit $bad
