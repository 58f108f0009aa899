#!/bin/sh
# Token ids against Hugging Face `tokenizers` on a real Qwen vocabulary and on the shipped tokenizer, over 100,000 lines of mixed
# Unicode each, made anew, and over the slice of real ids in this folder.
#
#   tests/parity/tokenizer/real_vocabulary.sh [PYTHON]
#
# PYTHON (python3) must have the packages tokenizers and dashscope from PyPI; without them this says SKIPPED. LINES sets the number.
set -u
cd "$(dirname "$0")/../../.." || exit 1
python=${1:-python3}
lines=${LINES:-100000}
out=build/tokenizer_parity
compare=build/unit/tokenizer/test_parity
passed=0
failed=0

ranks=$("$python" - <<'END'
import importlib.util, os
spec = importlib.util.find_spec("dashscope")
if spec and importlib.util.find_spec("tokenizers"):
    print(os.path.join(os.path.dirname(spec.origin), "resources", "qwen.tiktoken"))
END
)
if [ ! -r "$ranks" ]; then
    echo "SKIPPED: the real Qwen vocabulary wants tokenizers and dashscope from PyPI"
    exit 0
fi

check() { # TITLE TOKENIZER LINES
    if result=$("$compare" "$2" "$3" 2>&1); then passed=$((passed + 1)); else failed=$((failed + 1)); fi
    echo "$1: $result"
}

make_lines() { # TOKENIZER LINES
    "$python" tools/fixtures/tokenizer.py lines --tokenizer "$1" --count "$lines" --out "$2" || exit 1
}

make --no-print-directory $compare || exit 1
mkdir -p $out
"$python" tools/fixtures/tokenizer.py vocabulary --ranks "$ranks" --out $out/qwen2_5.json || exit 1
check "Qwen2.5 vocabulary, the slice here" $out/qwen2_5.json tests/parity/tokenizer/qwen2_5.jsonl
make_lines $out/qwen2_5.json $out/qwen2_5.jsonl
check "Qwen2.5 vocabulary, lines made anew" $out/qwen2_5.json $out/qwen2_5.jsonl
shipped=models/vlmd-tiny/tokenizer.json
if [ -r $shipped ]; then
    make_lines $shipped $out/vlmd_tiny.jsonl
    check "shipped tokenizer, lines made anew" $shipped $out/vlmd_tiny.jsonl
else
    echo "SKIPPED: $shipped is not there"
fi
echo "$passed passed, $failed failed"
[ $failed -eq 0 ]
