#include "base/hash.h"

#include <openssl/crypto.h>
#include <openssl/evp.h>

int hash_sha256(const void *data, size_t len, uint8_t out[HASH_BYTES])
{
    return EVP_Digest(data, len, out, NULL, EVP_sha256(), NULL) == 1 ? 0 : -1;
}

bool hash_equal(const uint8_t a[HASH_BYTES], const uint8_t b[HASH_BYTES])
{
    return CRYPTO_memcmp(a, b, HASH_BYTES) == 0;
}
