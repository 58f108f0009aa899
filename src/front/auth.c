#include "front/auth.h"

#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <strings.h>

#include "front/config_internal.h"

void auth_keys_free(struct auth_keys *keys)
{
    free(keys->items);
    *keys = (struct auth_keys){0};
}

int auth_keys_begin(struct auth_keys *keys, const char *name, struct vlmd_error *err)
{
    struct auth_key key = {.images.max_images = ALLOWANCE_OF_SERVER};
    if (*name == '\0' || strlen(name) >= sizeof key.name)
        return err_set(err, VLMD_INVALID, "key", "a key wants a name of up to %zu bytes",
                       sizeof key.name - 1);
    for (size_t i = 0; i < keys->n; i++)
        if (strcmp(keys->items[i].name, name) == 0)
            return err_set(err, VLMD_INVALID, "key", "the key %s is there twice", name);
    struct auth_key *grown = realloc(keys->items, (keys->n + 1) * sizeof *grown);
    if (!grown)
        return err_no_memory(err, (keys->n + 1) * sizeof *grown);
    snprintf(key.name, sizeof key.name, "%s", name);
    keys->items = grown;
    keys->items[keys->n++] = key;
    return 0;
}

/* ---- the lines of a key */

static int set_secret(struct auth_key *key, const char *value, struct vlmd_error *err)
{
    size_t len = strlen(value);
    if (len < 8 || strpbrk(value, " \t"))
        return err_set(err, VLMD_INVALID, "secret", "secret wants 8 characters or more, no blanks");
    key->has_secret = true;
    return hash_sha256(value, len, key->digest) < 0 ? err_no_memory(err, len) : 0;
}

static int hex_digit(char c)
{
    static const char digits[] = "0123456789abcdef";
    const char *at = c ? strchr(digits, c | 0x20) : NULL;
    return at ? (int)(at - digits) : -1;
}

static int set_digest(struct auth_key *key, const char *value, struct vlmd_error *err)
{
    bool good = strlen(value) == 2 * HASH_BYTES;
    for (size_t i = 0; good && i < HASH_BYTES; i++) {
        int high = hex_digit(value[2 * i]), low = hex_digit(value[2 * i + 1]);
        good = high >= 0 && low >= 0;
        key->digest[i] = (uint8_t)(high * 16 + low);
    }
    key->has_secret = true;
    return good ? 0
                : err_set(err, VLMD_INVALID, "sha256", "sha256 wants %d hexadecimal digits",
                          2 * HASH_BYTES);
}

static int read_count(const char *name, const char *value, uint64_t max, uint64_t *out,
                      struct vlmd_error *err)
{
    char *end;
    errno = 0;
    *out = strtoull(value, &end, 10);
    if (*value < '0' || *value > '9' || *end || errno || *out > max)
        return err_set(err, VLMD_INVALID, name, "%s wants a number from 0 to %llu, not %s", name,
                       (unsigned long long)max, value);
    return 0;
}

static int set_priority(struct auth_key *key, const char *value, struct vlmd_error *err)
{
    int priority = priority_from_text(value);
    if (priority < 0)
        return err_set(err, VLMD_INVALID, "priority", "priority wants high, normal or low, not %s",
                       value);
    key->has_priority = true;
    key->priority = (enum priority)priority;
    return 0;
}

static int set_once(const struct auth_key *key, struct vlmd_error *err)
{
    return key->has_secret
               ? err_set(err, VLMD_INVALID, "key", "the key %s has two secrets", key->name)
               : 0;
}

/* 1 when the line was one about images, 0 when it is another's. */
static int set_images(struct image_allowance *images, const char *name, const char *value,
                      struct vlmd_error *err)
{
    const struct {
        const char *name;
        uint64_t max, *value;
    } lines[] = {
        {"image-pixels", INT64_MAX, &images->all_pixels},
        {"max-image-bytes", 1 << 30, &images->max_image_bytes},
        {"max-image-pixels", INT32_MAX, &images->max_image_pixels},
        {"max-image-side", 65535, &images->max_image_side},
    };
    uint64_t count;
    if (strcmp(name, "max-images") == 0) {
        if (read_count(name, value, 64, &count, err) < 0)
            return -1;
        images->max_images = (int64_t)count;
        return 1;
    }
    for (size_t i = 0; i < sizeof lines / sizeof *lines; i++)
        if (strcmp(name, lines[i].name) == 0)
            return read_count(name, value, lines[i].max, lines[i].value, err) < 0 ? -1 : 1;
    return 0;
}

int auth_keys_set(struct auth_keys *keys, const char *name, const char *value,
                  struct vlmd_error *err)
{
    struct auth_key *key = &keys->items[keys->n - 1];
    uint64_t count = 0;
    if (strcmp(name, "secret") == 0)
        return set_once(key, err) < 0 ? -1 : set_secret(key, value, err);
    if (strcmp(name, "sha256") == 0)
        return set_once(key, err) < 0 ? -1 : set_digest(key, value, err);
    if (strcmp(name, "priority") == 0)
        return set_priority(key, value, err);
    if (strcmp(name, "rate-limit") == 0) {
        int status = read_count(name, value, 1000000, &count, err);
        key->rate_limit = (unsigned)count;
        return status;
    }
    if (strcmp(name, "admin") == 0) {
        if (setting_read_toggle(value, &key->admin))
            return 0;
        return err_set(err, VLMD_INVALID, name, "admin wants yes or no, not %s", value);
    }
    int taken = set_images(&key->images, name, value, err);
    if (taken == 0)
        return err_set(err, VLMD_INVALID, name, "a key has no line %s", name);
    return taken < 0 ? -1 : 0;
}

int auth_keys_check(const struct auth_keys *keys, struct vlmd_error *err)
{
    for (size_t i = 0; i < keys->n; i++) {
        if (!keys->items[i].has_secret)
            return err_set(err, VLMD_INVALID, "key", "the key %s has neither secret nor sha256",
                           keys->items[i].name);
        for (size_t j = 0; j < i; j++)
            if (hash_equal(keys->items[i].digest, keys->items[j].digest))
                return err_set(err, VLMD_INVALID, "key", "the keys %s and %s have the same secret",
                               keys->items[j].name, keys->items[i].name);
    }
    return 0;
}

int auth_keys_copy(struct auth_keys *out, const struct auth_keys *keys, struct vlmd_error *err)
{
    *out = (struct auth_keys){0};
    if (keys->n == 0)
        return 0;
    out->items = malloc(keys->n * sizeof *out->items);
    if (!out->items)
        return err_no_memory(err, keys->n * sizeof *out->items);
    memcpy(out->items, keys->items, keys->n * sizeof *out->items);
    out->n = keys->n;
    return 0;
}

static bool same_images(const struct image_allowance *a, const struct image_allowance *b)
{
    return a->all_pixels == b->all_pixels && a->max_images == b->max_images &&
           a->max_image_bytes == b->max_image_bytes && a->max_image_pixels == b->max_image_pixels &&
           a->max_image_side == b->max_image_side;
}

static bool same_key(const struct auth_key *a, const struct auth_key *b)
{
    return strcmp(a->name, b->name) == 0 && hash_equal(a->digest, b->digest) &&
           a->has_priority == b->has_priority && a->priority == b->priority &&
           a->rate_limit == b->rate_limit && same_images(&a->images, &b->images) &&
           a->admin == b->admin;
}

bool auth_keys_same(const struct auth_keys *a, const struct auth_keys *b)
{
    bool same = a->n == b->n;
    for (size_t i = 0; same && i < a->n; i++)
        same = same_key(&a->items[i], &b->items[i]);
    return same;
}

/* ---- what a request shows */

const struct auth_key *auth_find(const struct auth_keys *keys, const char *authorization)
{
    static const char scheme[] = "bearer ";
    uint8_t digest[HASH_BYTES];
    const struct auth_key *found = NULL;
    if (!authorization || strncasecmp(authorization, scheme, sizeof scheme - 1) != 0)
        return NULL;
    const char *secret = authorization + sizeof scheme - 1;
    secret += strspn(secret, " ");
    if (hash_sha256(secret, strlen(secret), digest) < 0)
        return NULL;
    /* All of them, whichever fits: how long it takes says nothing. */
    for (size_t i = 0; i < keys->n; i++)
        if (hash_equal(keys->items[i].digest, digest))
            found = &keys->items[i];
    return found;
}

uint64_t auth_key_number(const struct auth_key *key)
{
    uint64_t number = 0;
    if (key)
        memcpy(&number, key->digest, sizeof number);
    return number;
}
