/* SHA-256 (libcrypto): identity of downloads and of images. */
#pragma once

#include <stddef.h>
#include <stdint.h>

#define HASH_BYTES 32

/* -1 when the library refuses (no memory). */
int hash_sha256(const void *data, size_t len, uint8_t out[HASH_BYTES]);
