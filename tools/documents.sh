#!/bin/sh
# Writes anew what documents take from the program $1: man/vlmd.1 and the tables in docs/CONFIGURATION.md. With --check nothing is
# written, and what is not current makes it fail.
set -eu
cd "$(dirname "$0")/.."
program=$1
mode=${2-}
begin='<!-- made by make docs: begin -->'
end='<!-- made by make docs: end -->'
bad=0

# What standard input says becomes the file $1.
write() {
    new=$(mktemp)
    cat >"$new"
    if [ "$mode" = --check ]; then
        cmp -s "$new" "$1" || {
            echo "$1 is not current: run make docs" >&2
            bad=1
        }
    else
        cat "$new" >"$1"
    fi
    rm -f "$new"
}

configuration() {
    sed "/^$begin\$/q" docs/CONFIGURATION.md
    echo
    "$program" help settings
    echo
    sed -n "/^$end\$/,\$p" docs/CONFIGURATION.md
}

tools/manpage.sh "$program" >build/vlmd.1.new
write man/vlmd.1 <build/vlmd.1.new
configuration >build/configuration.new
write docs/CONFIGURATION.md <build/configuration.new
rm -f build/vlmd.1.new build/configuration.new
exit $bad
