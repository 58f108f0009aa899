/* SHA-256 (libcrypto): identity of downloads and of images, and how secrets are kept. */
#pragma once

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#define HASH_BYTES 32

/* -1 when the library refuses (no memory). */
int hash_sha256(const void *data, size_t len, uint8_t out[HASH_BYTES]);
/* In a time that does not depend on where they differ. */
bool hash_equal(const uint8_t a[HASH_BYTES], const uint8_t b[HASH_BYTES]);
