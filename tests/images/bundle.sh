#!/bin/sh
# Packs a program of build/address with all libraries that it loads, so that it runs on a larger machine of the same kind of
# processor, whatever is installed there:  tests/images/bundle.sh build/address/image_files FOLDER
# FOLDER/run.sh [JOBS [COUNT]] then shares COUNT mutants of the pictures among JOBS processes and sums up what they say.
set -eu
program=$1
folder=$2
rm -rf "$folder"
mkdir -p "$folder/lib" "$folder/pictures"
cp "$program" "$folder/program"
cp tests/images/bundle_run.sh "$folder/run.sh"
ldd "$program" | awk '/=> \// { print $3 }' | xargs -I{} cp -L {} "$folder/lib/"
cp -L "$(ldd "$program" | awk '/ld-linux/ { print $1 }')" "$folder/lib/loader"
for picture in tests/parity/pixels/*.*; do
    case $picture in *.json | *.csv) ;; *) cp "$picture" "$folder/pictures/" ;; esac
done
du -sh "$folder"
