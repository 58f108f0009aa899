/* One fixture folder of tools/fixtures/engine.py: manifest.json and data.bin. Fixtures are our own
 * files: anything wrong with them ends the program with a message. */
#pragma once

#include <jansson.h>
#include <stddef.h>
#include <stdint.h>

struct fixture {
    char *folder;
    const char *name; /* last part of folder */
    json_t *manifest;
    uint8_t *data;
    size_t size;
};

void fixture_open(struct fixture *fx, const char *folder);
void fixture_close(struct fixture *fx);

/* Members of manifest objects; a missing or mistyped one is fatal. */
int32_t fixture_int(const json_t *object, const char *key);
const char *fixture_text(const json_t *object, const char *key);
const json_t *fixture_array(const json_t *object, const char *key);
/* An array of integers in new memory that the caller frees. */
int32_t *fixture_ints(const json_t *object, const char *key, int32_t *n);

/* n floats or integers of data.bin at the byte offset that object[key] gives; owned by the fixture.
 */
const float *fixture_floats(const struct fixture *fx, const json_t *object, const char *key,
                            size_t n);
const int32_t *fixture_ids(const struct fixture *fx, const json_t *object, const char *key,
                           size_t n);

void fatal(const char *format, ...) __attribute__((format(printf, 1, 2), noreturn));
