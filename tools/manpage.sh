#!/bin/sh
# Writes a manual page for the program $1 to standard output: its own help texts, as they are.
set -eu
program=$1

# Text that roff sets as it stands.
verbatim() {
    echo .nf
    sed -e 's/\\/\\e/g' -e "s/^\([.']\)/\\\\\&\1/" -e 's/-/\\-/g'
    echo .fi
}

echo '.TH VLMD 1 "" "vlmd" "User Commands"'
echo '.SH NAME'
echo 'vlmd \- describe pictures on the terminal, or serve vision-language models behind the OpenAI API'
echo '.SH SYNOPSIS'
"$program" --help | verbatim
for command in run serve list; do
    echo ".SH vlmd $command" | tr '[:lower:]' '[:upper:]'
    "$program" $command --help | verbatim
done
