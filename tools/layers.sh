#!/bin/sh
# Refuses includes that go upward or sideways in src/. The table says which folders a folder may include from (its own is always allowed);
# include/vlmd.h includes nothing of ours and may be seen from everywhere. The order of the lines is the order of the layers.
set -eu
cd "$(dirname "$0")/.."

allowed() {
    case $1 in
    base) echo "" ;;
    tokenizer) echo "base" ;;
    chat) echo "base" ;;
    ipc) echo "base" ;;
    media) echo "ipc base" ;;
    fetch) echo "ipc base" ;;
    ops) echo "base" ;;
    format) echo "ops base" ;; # only ops/tensor.h: how a weight lies in a file
    backend/*) echo "ops base" ;;
    model) echo "ops format base" ;;
    engine) echo "model backend ops tokenizer format base" ;;
    worker) echo "chat media ipc base" ;; # the engine only through vlmd.h
    front) echo "ipc base" ;;
    cli) echo "front worker fetch media chat ipc base" ;;
    *) return 1 ;;
    esac
}

bad=0
for file in $(find src -name '*.[chm]' -o -name '*.cu' | sort); do
    folder=$(dirname "${file#src/}")
    [ "$folder" = . ] && continue # src/main.c may include everything
    if ! permitted=$(allowed "$folder"); then
        echo "$file: folder $folder has no line in tools/layers.sh" >&2
        bad=1
        continue
    fi
    own=${folder%%/*}
    for include in $(sed -n 's/^ *#include *"\([^"]*\)".*/\1/p' "$file"); do
        [ "$include" = vlmd.h ] && continue
        target=${include%%/*}
        case "$include" in */*) ;; *) echo "$file: write \"$include\" from src/ down" >&2; bad=1; continue ;; esac
        case " $own $permitted " in
        *" $target "*) ;;
        *) echo "$file: $folder may not include $include (allowed: $permitted)" >&2; bad=1 ;;
        esac
    done
done
[ $bad -eq 0 ] && echo "layers: no upward or sideways include"
exit $bad
