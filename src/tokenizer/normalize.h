/* Unicode normal form C, equal to the reference's and linear in the text's length. */
#pragma once

#include "base/buf.h"
#include "base/err.h"

/* Appends the NFC of `text` (valid UTF-8) to `out`. -1 without memory. */
int normalize_nfc(const char *text, size_t len, struct buf *out, struct vlmd_error *err);
