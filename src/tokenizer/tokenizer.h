/* Text to token ids and back, as a Hugging Face tokenizer.json says: byte-level BPE with its
 * normalizer, pre-tokenizer and added tokens. Equal to the `tokenizers` library id by id; a file
 * that asks for anything that is not done here is refused by the field's name. Chat templates and
 * streaming of text are not here.
 *
 * A tokenizer is immutable after opening and may be used from any number of threads. */
#pragma once

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "base/err.h"

#define TOKENIZER_MAX_TEXT  ((size_t)64 << 20) /* bytes of one text */
#define TOKENIZER_MAX_VOCAB (1 << 21)          /* token ids are below this */

struct tokenizer;

/* Reads a tokenizer.json. The caller owns the result (tokenizer_close); NULL with *err. */
struct tokenizer *tokenizer_open(const char *path, struct vlmd_error *err);
/* The same from memory; the text is not kept. */
struct tokenizer *tokenizer_parse(const char *json, size_t len, struct vlmd_error *err);
void tokenizer_close(struct tokenizer *t); /* NULL is fine */

/* Writes the first `cap` ids of a text to `out` (may be NULL when cap is 0) and returns how many
 * the text has, or -1 with *err (field "text": not UTF-8, or longer than TOKENIZER_MAX_TEXT).
 * With `special` the file's added tokens are recognized in the text; without, none is, special or
 * plain: what looks like one is ordinary text, as if the file had no added tokens at all. */
int64_t tokenizer_encode(const struct tokenizer *t, const char *text, size_t len, bool special,
                         int32_t *out, size_t cap, struct vlmd_error *err);

/* The next added token that begins at or after *from: its bytes are text[*start, *end) with the
 * white space that it takes, and *from moves behind it. For texts of which only parts may hold any.
 */
bool tokenizer_find_added(const struct tokenizer *t, const char *text, size_t len, size_t *from,
                          size_t *start, size_t *end, int32_t *id);

/* The bytes that a token stands for, not always whole UTF-8; "" for special tokens and for ids
 * that the file does not name. Owned by the tokenizer, not NUL-terminated. */
const char *tokenizer_token_bytes(const struct tokenizer *t, int32_t id, size_t *len);
bool tokenizer_is_special(const struct tokenizer *t, int32_t id);
/* The id of an added token (special or plain) by its exact text; -1 when there is none. */
int32_t tokenizer_special_id(const struct tokenizer *t, const char *text);
/* The highest id the file names, plus 1. The model's logits may have more rows. */
int32_t tokenizer_vocab_size(const struct tokenizer *t);
