/* API keys: their list as files say it, and which of them a request shows. Secrets are kept as
 * SHA-256 only and compared in constant time. What a key is worth is its users' matter. */
#pragma once

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "base/err.h"
#include "base/hash.h"
#include "front/image_allowance.h"
#include "front/queue.h"

struct auth_key {
    char name[64];
    uint8_t digest[HASH_BYTES];
    bool has_secret;
    bool has_priority;
    enum priority priority; /* the highest that it may ask for, and what it gets unasked */
    unsigned rate_limit;    /* requests a minute; 0: as the server's setting */
    struct image_allowance images;
    bool admin; /* opens the admin port */
};

struct auth_keys {
    struct auth_key *items;
    size_t n;
};

/* Reading: a key begins with its name; then its lines apply to it. Names and values are as in
 * docs/CONFIGURATION.md. */
int auth_keys_begin(struct auth_keys *keys, const char *name, struct vlmd_error *err);
int auth_keys_set(struct auth_keys *keys, const char *name, const char *value,
                  struct vlmd_error *err);
/* Has each its secret, and is no secret there twice? */
int auth_keys_check(const struct auth_keys *keys, struct vlmd_error *err);
int auth_keys_copy(struct auth_keys *out, const struct auth_keys *keys, struct vlmd_error *err);
bool auth_keys_same(const struct auth_keys *a, const struct auth_keys *b);
void auth_keys_free(struct auth_keys *keys);

/* The key of an Authorization field ("Bearer ..."), NULL when it is none of them. `authorization`
 * may be NULL. */
const struct auth_key *auth_find(const struct auth_keys *keys, const char *authorization);
/* A number that goes with the secret, however the list of keys changes; 0 for NULL. */
uint64_t auth_key_number(const struct auth_key *key);
