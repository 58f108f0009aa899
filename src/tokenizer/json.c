#include "base/json.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/utf8.h"
#include "tokenizer/normalize.h"
#include "tokenizer/tokenizer_internal.h"

#define MAX_ADDED_TEXT 4096  /* bytes of one added token */
#define BYTE_CHARS     0x144 /* byte-level characters are below this */

struct load {
    struct tokenizer *t;
    int16_t byte_of[BYTE_CHARS]; /* byte-level character -> byte, -1: stands for none */
    const json_t *vocab;
    struct buf scratch;
    struct buf form; /* of the added token at hand */
    struct vlmd_error *err;
};

/* ---- byte-level characters: how the file writes bytes */

/* These bytes stand for themselves; the other 68 are U+0100 and up, in order. */
static bool prints_itself(int byte)
{
    return (byte >= 0x21 && byte <= 0x7E) || (byte >= 0xA1 && byte <= 0xAC) || byte >= 0xAE;
}

static void make_byte_table(struct load *l)
{
    int next = 0x100;
    memset(l->byte_of, -1, sizeof l->byte_of);
    for (int byte = 0; byte < 256; byte++)
        l->byte_of[prints_itself(byte) ? byte : next++] = (int16_t)byte;
}

/* Writes the bytes of a token's text to scratch. False when the text is not byte-level: it then
 * stands for its own UTF-8, as the reference's decoder has it. */
static bool to_bytes(struct load *l, const char *text, size_t len)
{
    buf_reset(&l->scratch);
    for (size_t i = 0; i < len;) {
        uint32_t c;
        int n = utf8_decode(text + i, len - i, &c);
        if (n <= 0 || c >= BYTE_CHARS || l->byte_of[c] < 0) {
            buf_reset(&l->scratch);
            buf_append(&l->scratch, text, len);
            return false;
        }
        buf_append_char(&l->scratch, (char)l->byte_of[c]);
        i += (size_t)n;
    }
    return true;
}

/* ---- vocabulary */

static int check_id(struct load *l, const json_t *id, const char *field)
{
    if (!json_is_integer(id) || json_integer_value(id) < 0 ||
        json_integer_value(id) >= TOKENIZER_MAX_VOCAB)
        return err_set(l->err, VLMD_FORMAT, field, "a token id must be an integer below %d",
                       TOKENIZER_MAX_VOCAB);
    if (json_integer_value(id) >= l->t->vocab_size)
        l->t->vocab_size = (int32_t)json_integer_value(id) + 1;
    return 0;
}

/* Checks all ids and makes room for the highest. */
static int size_vocab(struct load *l, const json_t *added)
{
    const char *text;
    json_t *id;
    json_object_foreach ((json_t *)l->vocab, text, id) {
        if (check_id(l, id, "model.vocab") < 0)
            return -1;
    }
    for (size_t i = 0; i < json_array_size(added); i++) {
        char field[48];
        snprintf(field, sizeof field, "added_tokens[%zu].id", i);
        if (check_id(l, json_object_get(json_array_get(added, i), "id"), field) < 0)
            return -1;
    }
    size_t n = (size_t)l->t->vocab_size;
    l->t->tokens = calloc(n ? n : 1, sizeof *l->t->tokens);
    if (!l->t->tokens)
        return err_no_memory(l->err, n * sizeof *l->t->tokens);
    return 0;
}

/* Gives a token the bytes in scratch. */
static int set_token(struct load *l, int32_t id, enum token_kind kind)
{
    struct tokenizer *t = l->t;
    size_t start = t->bytes.len;
    if (start + l->scratch.len > UINT32_MAX)
        return err_set(l->err, VLMD_TOO_LARGE, "model.vocab", "the tokens are too long");
    if (l->scratch.failed || buf_append(&t->bytes, l->scratch.data, l->scratch.len) < 0)
        return err_no_memory(l->err, t->bytes.len + l->scratch.len);
    t->tokens[id] = (struct token){
        .start = (uint32_t)start, .len = (uint32_t)l->scratch.len, .kind = (uint8_t)kind};
    return 0;
}

static int load_vocab(struct load *l)
{
    struct tokenizer *t = l->t;
    const char *text;
    json_t *value;
    memset(t->byte_ids, -1, sizeof t->byte_ids);
    json_object_foreach ((json_t *)l->vocab, text, value) {
        int32_t id = (int32_t)json_integer_value(value);
        if (t->tokens[id].kind != TOKEN_NONE)
            return err_set(l->err, VLMD_FORMAT, "model.vocab", "two tokens have id %d", id);
        bool byte_level = to_bytes(l, text, strlen(text));
        if (set_token(l, id, TOKEN_MODEL) < 0)
            return -1;
        if (byte_level && l->scratch.len == 1)
            t->byte_ids[(uint8_t)l->scratch.data[0]] = id;
    }
    for (int byte = 0; byte <= 0xF4; byte++) {
        if (t->byte_ids[byte] < 0 && byte != 0xC0 && byte != 0xC1)
            return err_set(l->err, VLMD_UNSUPPORTED, "model.vocab",
                           "the vocabulary has no token for byte %02X", byte);
    }
    return 0;
}

/* ---- added tokens */

/* What is looked for in the text, and what the token stands for: its own text, normalized when it
 * is looked for after normalization. */
static int added_form(struct load *l, const char *text, bool normalized)
{
    buf_reset(&l->form);
    if (normalized && l->t->nfc)
        return normalize_nfc(text, strlen(text), &l->form, l->err);
    return buf_append_text(&l->form, text) < 0 ? err_no_memory(l->err, strlen(text)) : 0;
}

static int check_added(struct load *l, const char *text, int32_t id)
{
    const json_t *known = json_object_get(l->vocab, text);
    if (known ? json_integer_value(known) != id : l->t->tokens[id].kind != TOKEN_NONE)
        return err_set(l->err, VLMD_FORMAT, "id", "id %d contradicts the vocabulary", id);
    if (json_object_get(l->t->added_ids, text))
        return err_set(l->err, VLMD_FORMAT, "content", "the token is given twice");
    if (text[0] == '\0' || strlen(text) > MAX_ADDED_TEXT)
        return err_set(l->err, VLMD_FORMAT, "content", "an added token has 1 to %d bytes",
                       MAX_ADDED_TEXT);
    return 0;
}

static int load_added(struct load *l, const json_t *entry)
{
    const char *text = NULL;
    struct added_flags flags = {0};
    bool special = false;
    if (json_require(json_get_string(entry, "content", &text, l->err), "content", l->err) < 0 ||
        json_get_bool(entry, "special", &special, l->err) < 0)
        return -1;
    bool normalized = !special;
    if (json_get_bool(entry, "normalized", &normalized, l->err) < 0 ||
        json_get_bool(entry, "single_word", &flags.single_word, l->err) < 0 ||
        json_get_bool(entry, "lstrip", &flags.lstrip, l->err) < 0 ||
        json_get_bool(entry, "rstrip", &flags.rstrip, l->err) < 0)
        return -1;
    int32_t id = (int32_t)json_integer_value(json_object_get(entry, "id"));
    if (check_added(l, text, id) < 0)
        return -1;
    if (added_form(l, text, normalized) < 0)
        return -1;
    to_bytes(l, l->form.data, l->form.len);
    struct added *set = normalized ? &l->t->added_normalized : &l->t->added_raw;
    if (set_token(l, id, special ? TOKEN_SPECIAL : TOKEN_ADDED) < 0 ||
        added_add(set, l->form.data, l->form.len, id, flags, l->err) < 0)
        return -1;
    if (json_object_set_new(l->t->added_ids, text, json_integer(id)) < 0)
        return err_no_memory(l->err, strlen(text));
    return 0;
}

static int load_all_added(struct load *l, const json_t *added)
{
    l->t->added_ids = json_object();
    if (!l->t->added_ids)
        return err_no_memory(l->err, 0);
    for (size_t i = 0; i < json_array_size(added); i++) {
        if (load_added(l, json_array_get(added, i)) < 0) {
            char prefix[40];
            snprintf(prefix, sizeof prefix, "added_tokens[%zu]", i);
            err_prefix_field(l->err, prefix);
            return -1;
        }
    }
    for (int byte = 0; byte < 256; byte++) {
        int32_t id = l->t->byte_ids[byte];
        if (id >= 0 && l->t->tokens[id].kind == TOKEN_SPECIAL)
            return err_set(l->err, VLMD_UNSUPPORTED, "added_tokens",
                           "the token of byte %02X is special", byte);
    }
    return 0;
}

/* ---- merges */

struct merge {
    const char *left, *right;
    size_t left_len, right_len;
};

/* A merge is "left right" or ["left", "right"]. */
static bool read_merge(const json_t *value, struct merge *m)
{
    if (json_is_array(value)) {
        const json_t *left = json_array_get(value, 0), *right = json_array_get(value, 1);
        if (json_array_size(value) != 2 || !json_is_string(left) || !json_is_string(right))
            return false;
        *m = (struct merge){.left = json_string_value(left),
                            .right = json_string_value(right),
                            .left_len = json_string_length(left),
                            .right_len = json_string_length(right)};
        return true;
    }
    const char *text = json_string_value(value); /* NULL when it is no string */
    const char *space = text ? strchr(text, ' ') : NULL;
    if (!space || strchr(space + 1, ' '))
        return false;
    *m = (struct merge){.left = text,
                        .right = space + 1,
                        .left_len = (size_t)(space - text),
                        .right_len = strlen(space + 1)};
    return true;
}

static int32_t vocab_id(const struct load *l, const char *text, size_t len)
{
    const json_t *id = json_object_getn(l->vocab, text, len);
    return id ? (int32_t)json_integer_value(id) : -1;
}

static int load_merge(struct load *l, const json_t *value, int32_t rank)
{
    struct merge m;
    if (!read_merge(value, &m))
        return err_set(l->err, VLMD_FORMAT, NULL, "a merge must be two tokens");
    int32_t left = vocab_id(l, m.left, m.left_len);
    int32_t right = vocab_id(l, m.right, m.right_len);
    buf_reset(&l->scratch);
    buf_append(&l->scratch, m.left, m.left_len);
    buf_append(&l->scratch, m.right, m.right_len);
    if (l->scratch.failed)
        return err_no_memory(l->err, m.left_len + m.right_len);
    int32_t merged = vocab_id(l, l->scratch.data, l->scratch.len);
    if (left < 0 || right < 0 || merged < 0)
        return err_set(l->err, VLMD_FORMAT, NULL, "a merge's parts and result must be tokens");
    if (l->t->tokens[merged].kind == TOKEN_SPECIAL)
        return err_set(l->err, VLMD_UNSUPPORTED, NULL, "a merge makes special token %d", merged);
    bpe_add(&l->t->bpe, left, right, rank, merged);
    return 0;
}

static int load_merges(struct load *l, const json_t *merges)
{
    size_t n = json_array_size(merges);
    if (n > TOKENIZER_MAX_VOCAB)
        return err_set(l->err, VLMD_TOO_LARGE, "model.merges", "%zu merges", n);
    if (bpe_init(&l->t->bpe, n, l->err) < 0)
        return -1;
    for (size_t i = 0; i < n; i++) {
        if (load_merge(l, json_array_get(merges, i), (int32_t)i) < 0) {
            char field[48];
            snprintf(field, sizeof field, "model.merges[%zu]", i);
            err_prefix_field(l->err, field);
            return -1;
        }
    }
    return 0;
}

/* ---- whole words */

uint64_t word_hash(const char *bytes, size_t len)
{
    uint64_t h = 0xCBF29CE484222325u;
    for (size_t i = 0; i < len; i++)
        h = (h ^ (uint8_t)bytes[i]) * 0x100000001B3u;
    return h ^ h >> 32;
}

static bool token_has_bytes(const struct tokenizer *t, int32_t id, const char *bytes, size_t len)
{
    const struct token *token = &t->tokens[id];
    return token->len == len && memcmp(t->bytes.data + token->start, bytes, len) == 0;
}

int32_t word_find(const struct tokenizer *t, const char *bytes, size_t len)
{
    size_t i = (size_t)word_hash(bytes, len) & t->words.mask;
    while (t->words.slots[i] >= 0 && !token_has_bytes(t, t->words.slots[i], bytes, len))
        i = (i + 1) & t->words.mask;
    return t->words.slots[i];
}

/* Only the model's own tokens: an added token is never found by its text here. */
static int load_words(struct load *l)
{
    struct tokenizer *t = l->t;
    size_t slots = 16;
    while (slots / 2 <= (size_t)t->vocab_size)
        slots *= 2;
    t->words.slots = malloc(slots * sizeof *t->words.slots);
    if (!t->words.slots)
        return err_no_memory(l->err, slots * sizeof *t->words.slots);
    memset(t->words.slots, -1, slots * sizeof *t->words.slots);
    t->words.mask = slots - 1;
    const char *text;
    json_t *value;
    json_object_foreach ((json_t *)l->vocab, text, value) {
        int32_t id = (int32_t)json_integer_value(value);
        if (t->tokens[id].kind != TOKEN_MODEL || !to_bytes(l, text, strlen(text)))
            continue;
        const struct token *token = &t->tokens[id];
        size_t i = (size_t)word_hash(t->bytes.data + token->start, token->len) & t->words.mask;
        while (t->words.slots[i] >= 0)
            i = (i + 1) & t->words.mask;
        t->words.slots[i] = id;
    }
    return 0;
}

/* ---- the parts of the file */

static int refuse_type(struct load *l, const char *field, const char *type)
{
    return err_set(l->err, VLMD_UNSUPPORTED, field, "%s %s is not supported", field,
                   type ? type : "without a type");
}

static int load_normalizer(struct load *l, const json_t *value, int depth)
{
    if (!value || json_is_null(value))
        return 0;
    const char *type = json_string_value(json_object_get(value, "type"));
    if (type && strcmp(type, "NFC") == 0) {
        l->t->nfc = true;
        return 0;
    }
    const json_t *list = json_object_get(value, "normalizers");
    if (!type || strcmp(type, "Sequence") != 0 || !json_is_array(list) || depth > 4)
        return refuse_type(l, "normalizer.type", type);
    for (size_t i = 0; i < json_array_size(list); i++) {
        if (load_normalizer(l, json_array_get(list, i), depth + 1) < 0)
            return -1;
    }
    return 0;
}

static int check_decoder(struct load *l, const json_t *root)
{
    const char *type = json_string_value(json_object_get(json_object_get(root, "decoder"), "type"));
    return type && strcmp(type, "ByteLevel") == 0 ? 0 : refuse_type(l, "decoder.type", type);
}

/* A post-processor may be there as long as it adds no ids: ByteLevel, or a template without special
 * tokens (which transformers 5 writes). */
static int check_post_processor(struct load *l, const json_t *root)
{
    const json_t *value = json_object_get(root, "post_processor");
    if (!value || json_is_null(value))
        return 0;
    const char *type = json_string_value(json_object_get(value, "type"));
    if (type && strcmp(type, "ByteLevel") == 0)
        return 0;
    if (type && strcmp(type, "TemplateProcessing") == 0 &&
        json_object_size(json_object_get(value, "special_tokens")) == 0)
        return 0;
    return refuse_type(l, "post_processor.type", type);
}

/* Settings of the BPE model that change what it does in ways not done here. */
static int check_model(struct load *l, const json_t *model)
{
    static const char *const affixes[] = {"continuing_subword_prefix", "end_of_word_suffix"};
    const char *type = "BPE";
    bool fallback = false;
    double dropout = 0;
    if (json_get_string(model, "type", &type, l->err) < 0 ||
        json_get_bool(model, "byte_fallback", &fallback, l->err) < 0 ||
        json_get_double(model, "dropout", &dropout, l->err) < 0)
        return -1;
    if (strcmp(type, "BPE") != 0)
        return err_set(l->err, VLMD_UNSUPPORTED, "type", "model %s is not supported", type);
    if (fallback)
        return err_set(l->err, VLMD_UNSUPPORTED, "byte_fallback", "byte_fallback is not supported");
    if (dropout != 0)
        return err_set(l->err, VLMD_UNSUPPORTED, "dropout", "dropout is not supported");
    for (size_t i = 0; i < sizeof affixes / sizeof affixes[0]; i++) {
        const char *affix = "";
        if (json_get_string(model, affixes[i], &affix, l->err) < 0)
            return -1;
        if (affix[0] != '\0')
            return err_set(l->err, VLMD_UNSUPPORTED, affixes[i], "%s is not supported", affixes[i]);
    }
    return 0;
}

static int load_parts(struct load *l, const json_t *root)
{
    json_t *model = NULL, *vocab = NULL, *merges = NULL, *added = NULL;
    bool ignore_merges = false;
    if (json_require(json_get_object(root, "model", &model, l->err), "model", l->err) < 0 ||
        json_get_array(root, "added_tokens", &added, l->err) < 0)
        return -1;
    if (check_model(l, model) < 0 ||
        json_require(json_get_object(model, "vocab", &vocab, l->err), "vocab", l->err) < 0 ||
        json_require(json_get_array(model, "merges", &merges, l->err), "merges", l->err) < 0 ||
        json_get_bool(model, "ignore_merges", &ignore_merges, l->err) < 0) {
        err_prefix_field(l->err, "model");
        return -1;
    }
    l->vocab = vocab;
    if (check_decoder(l, root) < 0 || check_post_processor(l, root) < 0 ||
        load_normalizer(l, json_object_get(root, "normalizer"), 0) < 0 ||
        pretokenize_load(&l->t->pretokenize, json_object_get(root, "pre_tokenizer"), l->err) < 0)
        return -1;
    if (size_vocab(l, added) < 0 || load_vocab(l) < 0 || load_all_added(l, added) < 0 ||
        load_merges(l, merges) < 0)
        return -1;
    return ignore_merges ? load_words(l) : 0;
}

int tokenizer_load(struct tokenizer *t, const json_t *root, struct vlmd_error *err)
{
    struct load l = {.t = t, .err = err};
    if (!json_is_object(root))
        return err_set(err, VLMD_FORMAT, "tokenizer.json", "a tokenizer must be a JSON object");
    make_byte_table(&l);
    int result = load_parts(&l, root);
    buf_free(&l.scratch);
    buf_free(&l.form);
    return result;
}
