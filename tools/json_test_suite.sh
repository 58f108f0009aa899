#!/bin/sh
# Fetches JSONTestSuite (github.com/nst/JSONTestSuite, MIT) into build/JSONTestSuite, where tests/e2e/test_json.py looks for it.
set -eu
cd "$(dirname "$0")/.."
[ -d build/JSONTestSuite/test_parsing ] && exit 0
mkdir -p build
rm -rf build/JSONTestSuite.new
git clone --quiet --depth 1 --filter=blob:none --sparse https://github.com/nst/JSONTestSuite build/JSONTestSuite.new
git -C build/JSONTestSuite.new sparse-checkout set test_parsing
mv build/JSONTestSuite.new build/JSONTestSuite
