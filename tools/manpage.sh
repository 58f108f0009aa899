#!/bin/sh
# Writes the manual page of the program $1 to standard output: the settings from its table of settings, the rest from its own help
# texts, as they are. `make docs` keeps the page in man/vlmd.1.
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
for command in run list; do
    echo ".SH vlmd $command" | tr '[:lower:]' '[:upper:]'
    "$program" $command --help | verbatim
done
echo '.SH VLMD SERVE'
"$program" serve --help | sed '/:$/,$d' | verbatim
echo '.SH SETTINGS'
echo 'Behind each setting of vlmd serve stand the variables that set it, and SIGHUP where that signal makes the server take a new value.'
"$program" help settings-roff
