/* What the tokenizer's own files share: the loaded vocabulary. */
#pragma once

#include "base/buf.h"
#include "tokenizer/added.h"
#include "tokenizer/bpe.h"
#include "tokenizer/pretokenize.h"
#include "tokenizer/tokenizer.h"

enum token_kind {
    TOKEN_NONE, /* the file does not name this id */
    TOKEN_MODEL,
    TOKEN_ADDED,
    TOKEN_SPECIAL,
};

struct token {
    uint32_t start, len; /* its bytes in `bytes` */
    uint8_t kind;        /* enum token_kind */
};

/* Whole pieces by their bytes, for models with ignore_merges. Open addressing. */
struct word_table {
    int32_t *slots; /* token ids, -1: empty; NULL when the model merges always */
    size_t mask;
};

struct tokenizer {
    struct token *tokens;
    int32_t vocab_size;
    struct buf bytes;      /* of all tokens, one after another */
    int32_t byte_ids[256]; /* the token of each single byte; -1 for bytes UTF-8 does not have */
    struct bpe bpe;
    struct word_table words;
    bool nfc;
    struct pretokenize pretokenize;
    struct added added_raw;        /* looked for in the text as it came ("normalized": false) */
    struct added added_normalized; /* looked for after normalization */
    json_t *added_ids;             /* text of an added token -> id */
};

/* Fills a zeroed tokenizer from the parsed file. */
int tokenizer_load(struct tokenizer *t, const json_t *root, struct vlmd_error *err);

uint64_t word_hash(const char *bytes, size_t len);
/* The model's token with exactly these bytes, -1 when there is none. */
int32_t word_find(const struct tokenizer *t, const char *bytes, size_t len);
