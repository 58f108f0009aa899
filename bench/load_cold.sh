#!/bin/sh
# Load with the file not in memory beside reading it, in turns; for root, on Linux:
#
#   bench/load_cold.sh CHECKPOINT BYTES ROUNDS PROGRAM...
#
# BYTES: what a load reads, the text's weights, which MLX's files hold first. PROGRAM: build/bench/peers_ours, whose load ends
# after the first step, an older one beside it. ISA: avx2 and so on. SLEEP: seconds between dropping caches and starting;
# a virtual machine's host may take free memory back meanwhile.
set -eu
checkpoint=$1 bytes=$2 rounds=$3
shift 3

forget() {
    sync
    echo 3 > /proc/sys/vm/drop_caches
    sleep "${SLEEP:-1}"
}

for _ in $(seq "$rounds"); do
    forget
    start=$(date +%s%N)
    dd if="$checkpoint/model.safetensors" of=/dev/null bs=1M count="$bytes" iflag=count_bytes status=none
    end=$(date +%s%N)
    printf 'read %d ms' $(((end - start) / 1000000))
    for program in "$@"; do
        forget
        printf '  %s %s s' "$program" "$("$program" "$checkpoint" 2 512 "${ISA:-auto}" < /dev/null | sed -n 's/^ready \([^ ]*\).*/\1/p')"
    done
    echo
done
