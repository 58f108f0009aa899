#include "tokenizer/tokenizer.h"

#include <stdlib.h>
#include <string.h>

#include "base/json.h"
#include "base/utf8.h"
#include "tokenizer/normalize.h"
#include "tokenizer/tokenizer_internal.h"

#define MAX_FILE ((size_t)256 << 20)

static struct tokenizer *from_json(json_t *root, struct vlmd_error *err)
{
    if (!root)
        return NULL;
    struct tokenizer *t = calloc(1, sizeof *t);
    if (!t) {
        err_no_memory(err, sizeof *t);
    } else if (tokenizer_load(t, root, err) < 0) {
        tokenizer_close(t);
        t = NULL;
    }
    json_decref(root);
    return t;
}

struct tokenizer *tokenizer_open(const char *path, struct vlmd_error *err)
{
    return from_json(json_parse_file(path, MAX_FILE, err), err);
}

struct tokenizer *tokenizer_parse(const char *json, size_t len, struct vlmd_error *err)
{
    if (len > MAX_FILE) {
        err_set(err, VLMD_TOO_LARGE, "tokenizer.json", "a tokenizer of %zu bytes", len);
        return NULL;
    }
    return from_json(json_parse(json, len, "tokenizer.json", err), err);
}

void tokenizer_close(struct tokenizer *t)
{
    if (!t)
        return;
    free(t->tokens);
    buf_free(&t->bytes);
    bpe_free(&t->bpe);
    free(t->words.slots);
    pretokenize_free(&t->pretokenize);
    added_free(&t->added_raw);
    added_free(&t->added_normalized);
    json_decref(t->added_ids);
    free(t);
}

/* ---- encoding */

struct encoding {
    const struct tokenizer *t;
    int32_t *out;
    size_t cap;
    int64_t count; /* ids so far, also those beyond cap */
    struct bpe_work work;
    int32_t *piece; /* ids of the piece at hand */
    size_t piece_cap;
};

static void put_id(struct encoding *e, int32_t id)
{
    if ((uint64_t)e->count < e->cap)
        e->out[e->count] = id;
    e->count++;
}

static int reserve_piece(struct encoding *e, size_t len, struct vlmd_error *err)
{
    if (len <= e->piece_cap)
        return 0;
    size_t cap = len < 64 ? 64 : len * 2;
    free(e->piece);
    e->piece_cap = 0;
    e->piece = malloc(cap * sizeof *e->piece);
    if (!e->piece)
        return err_no_memory(err, cap * sizeof *e->piece);
    e->piece_cap = cap;
    return 0;
}

static int encode_piece(void *context, const char *text, size_t len, struct vlmd_error *err)
{
    struct encoding *e = context;
    const struct tokenizer *t = e->t;
    if (t->words.slots) {
        int32_t whole = word_find(t, text, len);
        if (whole >= 0) {
            put_id(e, whole);
            return 0;
        }
    }
    if (reserve_piece(e, len, err) < 0)
        return -1;
    for (size_t i = 0; i < len; i++)
        e->piece[i] = t->byte_ids[(uint8_t)text[i]];
    int64_t n = bpe_merge_ids(&t->bpe, &e->work, e->piece, len, err);
    for (int64_t i = 0; i < n; i++)
        put_id(e, e->piece[i]);
    return n < 0 ? -1 : 0;
}

static int encode_plain(struct encoding *e, const char *text, size_t len, struct vlmd_error *err)
{
    return pretokenize_run(&e->t->pretokenize, text, len, encode_piece, e, err);
}

typedef int (*encode_fn)(struct encoding *e, const char *text, size_t len, struct vlmd_error *err);

/* Cuts the text at the added tokens of one set; what lies between them goes to `between`. */
static int encode_around(struct encoding *e, const struct added *added, const char *text,
                         size_t len, encode_fn between, struct vlmd_error *err)
{
    struct added_match match;
    size_t taken = 0, from = 0;
    while (added_find(added, text, len, taken, &from, &match)) {
        if (match.start > taken && between(e, text + taken, match.start - taken, err) < 0)
            return -1;
        put_id(e, match.id);
        taken = match.end;
    }
    return taken < len ? between(e, text + taken, len - taken, err) : 0;
}

static int encode_normalized_special(struct encoding *e, const char *text, size_t len,
                                     struct vlmd_error *err)
{
    return encode_around(e, &e->t->added_normalized, text, len, encode_plain, err);
}

static int normalize_then(struct encoding *e, const char *text, size_t len, encode_fn then,
                          struct vlmd_error *err)
{
    if (!e->t->nfc)
        return then(e, text, len, err);
    struct buf normal = {0};
    int result = normalize_nfc(text, len, &normal, err);
    if (result == 0)
        result = then(e, normal.data, normal.len, err);
    buf_free(&normal);
    return result;
}

static int encode_special(struct encoding *e, const char *text, size_t len, struct vlmd_error *err)
{
    return normalize_then(e, text, len, encode_normalized_special, err);
}

int64_t tokenizer_encode(const struct tokenizer *t, const char *text, size_t len, bool special,
                         int32_t *out, size_t cap, struct vlmd_error *err)
{
    if (len > TOKENIZER_MAX_TEXT)
        return err_set(err, VLMD_TOO_LARGE, "text", "a text of %zu bytes (at most %zu)", len,
                       TOKENIZER_MAX_TEXT);
    if (len == 0)
        return 0;
    if (!utf8_valid(text, len))
        return err_set(err, VLMD_INVALID, "text", "the text is not valid UTF-8");
    struct encoding e = {.t = t, .out = out, .cap = cap};
    int result = special ? encode_around(&e, &t->added_raw, text, len, encode_special, err)
                         : normalize_then(&e, text, len, encode_plain, err);
    bpe_work_free(&e.work);
    free(e.piece);
    return result < 0 ? -1 : e.count;
}

bool tokenizer_find_added(const struct tokenizer *t, const char *text, size_t len, size_t *from,
                          size_t *start, size_t *end, int32_t *id)
{
    struct added_match raw, normalized;
    size_t raw_from = *from, normalized_from = *from;
    bool found = added_find(&t->added_raw, text, len, *from, &raw_from, &raw);
    /* the others are looked for in what the first leave over */
    size_t left = found ? raw.start : len;
    if (added_find(&t->added_normalized, text, left, *from, &normalized_from, &normalized)) {
        raw = normalized;
        found = true;
    }
    if (!found)
        return false;
    *start = raw.start;
    *end = *from = raw.end;
    *id = raw.id;
    return true;
}

/* ---- the vocabulary */

static const struct token *find_token(const struct tokenizer *t, int32_t id)
{
    return id >= 0 && id < t->vocab_size ? &t->tokens[id] : NULL;
}

const char *tokenizer_token_bytes(const struct tokenizer *t, int32_t id, size_t *len)
{
    const struct token *token = find_token(t, id);
    *len = 0;
    if (!token || token->kind == TOKEN_SPECIAL || token->kind == TOKEN_NONE)
        return "";
    *len = token->len;
    return t->bytes.data + token->start;
}

bool tokenizer_is_special(const struct tokenizer *t, int32_t id)
{
    const struct token *token = find_token(t, id);
    return token && token->kind == TOKEN_SPECIAL;
}

int32_t tokenizer_special_id(const struct tokenizer *t, const char *text)
{
    const json_t *id = json_object_get(t->added_ids, text);
    return id ? (int32_t)json_integer_value(id) : -1;
}

int32_t tokenizer_vocab_size(const struct tokenizer *t)
{
    return t->vocab_size;
}
