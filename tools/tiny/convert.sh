#!/bin/sh
# Quantizes a Hugging Face folder with mlx-vlm's own converter: 4 bits, groups of 64.   usage: convert.sh HF_DIR OUT_DIR
set -eu
${PYTHON:-python3} -m mlx_vlm convert --hf-path "$1" --mlx-path "$2" --quantize --q-bits 4 --q-group-size 64
