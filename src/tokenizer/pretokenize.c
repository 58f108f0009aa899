#include "tokenizer/pretokenize.h"

#include <string.h>

#include "base/buf.h"
#include "base/json.h"

/* ByteLevel's own pattern, GPT-2's. */
static const char GPT2[] =
    "'s|'t|'re|'ve|'m|'ll|'d| ?\\p{L}+| ?\\p{N}+| ?[^\\s\\p{L}\\p{N}]+|\\s+(?!\\S)|\\s+";

/* ---- loading */

struct loading {
    struct pretokenize *p;
    bool byte_level; /* was seen: nothing may follow it */
};

static int add_stage(struct pretokenize *p, struct regex *regex, enum regex_pieces which,
                     struct vlmd_error *err)
{
    if (p->n_stages == PRETOKENIZE_MAX_STAGES) {
        regex_free(regex);
        return err_set(err, VLMD_UNSUPPORTED, "pretokenizers", "more than %d stages",
                       PRETOKENIZE_MAX_STAGES);
    }
    p->stages[p->n_stages++] = (struct pretokenize_stage){.regex = regex, .which = which};
    return 0;
}

static int load_byte_level(struct loading *l, const json_t *value, struct vlmd_error *err)
{
    bool prefix = true, pattern = true; /* the reference's defaults */
    if (json_get_bool(value, "add_prefix_space", &prefix, err) < 0 ||
        json_get_bool(value, "use_regex", &pattern, err) < 0)
        return -1;
    l->byte_level = true;
    if (prefix && add_stage(l->p, NULL, REGEX_MATCHES_AND_GAPS, err) < 0)
        return -1;
    if (!pattern)
        return 0;
    struct regex *regex = regex_compile(GPT2, sizeof GPT2 - 1, err);
    if (!regex)
        return -1;
    return add_stage(l->p, regex, REGEX_MATCHES_AND_GAPS, err);
}

static int load_split(struct loading *l, const json_t *value, struct vlmd_error *err)
{
    const char *behavior = NULL, *text = NULL;
    json_t *pattern = NULL;
    bool invert = false;
    if (json_require(json_get_string(value, "behavior", &behavior, err), "behavior", err) < 0 ||
        json_require(json_get_object(value, "pattern", &pattern, err), "pattern", err) < 0 ||
        json_get_bool(value, "invert", &invert, err) < 0)
        return -1;
    enum regex_pieces which = REGEX_MATCHES_AND_GAPS;
    if (strcmp(behavior, "Removed") == 0)
        which = invert ? REGEX_MATCHES : REGEX_GAPS;
    else if (strcmp(behavior, "Isolated") != 0)
        return err_set(err, VLMD_UNSUPPORTED, "behavior", "Split behavior %s is not supported",
                       behavior);
    if (json_require(json_get_string(pattern, "Regex", &text, err), "Regex", err) < 0) {
        err_prefix_field(err, "pattern");
        return -1;
    }
    struct regex *regex = regex_compile(text, strlen(text), err);
    if (!regex) {
        err_prefix_field(err, "pattern");
        return -1;
    }
    return add_stage(l->p, regex, which, err);
}

static int load_one(struct loading *l, const json_t *value, int depth, struct vlmd_error *err);

static int load_sequence(struct loading *l, const json_t *value, int depth, struct vlmd_error *err)
{
    json_t *list = NULL;
    if (json_require(json_get_array(value, "pretokenizers", &list, err), "pretokenizers", err) < 0)
        return -1;
    for (size_t i = 0; i < json_array_size(list); i++) {
        if (load_one(l, json_array_get(list, i), depth + 1, err) < 0) {
            char prefix[40];
            snprintf(prefix, sizeof prefix, "pretokenizers[%zu]", i);
            err_prefix_field(err, prefix);
            return -1;
        }
    }
    return 0;
}

static int load_one(struct loading *l, const json_t *value, int depth, struct vlmd_error *err)
{
    const char *type = NULL;
    if (json_require(json_get_string(value, "type", &type, err), "type", err) < 0)
        return -1;
    if (l->byte_level)
        return err_set(err, VLMD_UNSUPPORTED, "type", "%s after ByteLevel is not supported", type);
    if (strcmp(type, "ByteLevel") == 0)
        return load_byte_level(l, value, err);
    if (strcmp(type, "Split") == 0)
        return load_split(l, value, err);
    if (strcmp(type, "Sequence") == 0 && depth < 4)
        return load_sequence(l, value, depth, err);
    return err_set(err, VLMD_UNSUPPORTED, "type", "pre-tokenizer %s is not supported", type);
}

int pretokenize_load(struct pretokenize *p, const json_t *value, struct vlmd_error *err)
{
    *p = (struct pretokenize){0};
    struct loading l = {.p = p};
    if (!json_is_object(value))
        return err_set(err, VLMD_UNSUPPORTED, "pre_tokenizer",
                       "a ByteLevel pre-tokenizer is needed");
    int result = load_one(&l, value, 0, err);
    if (result == 0 && !l.byte_level)
        result = err_set(err, VLMD_UNSUPPORTED, "type", "there is no ByteLevel pre-tokenizer");
    if (result < 0)
        err_prefix_field(err, "pre_tokenizer");
    return result;
}

void pretokenize_free(struct pretokenize *p)
{
    for (int i = 0; i < p->n_stages; i++)
        regex_free(p->stages[i].regex);
    p->n_stages = 0;
}

/* ---- running */

struct run {
    const struct pretokenize *p;
    int stage; /* the one to apply next */
    regex_piece_fn piece;
    void *context;
};

static int run_stage(void *context, const char *text, size_t len, struct vlmd_error *err);

static int run_prefix(struct run *next, const char *text, size_t len, struct vlmd_error *err)
{
    if (text[0] == ' ')
        return run_stage(next, text, len, err);
    struct buf spaced = {0};
    int result;
    if (buf_append_char(&spaced, ' ') < 0 || buf_append(&spaced, text, len) < 0)
        result = err_no_memory(err, len + 1);
    else
        result = run_stage(next, spaced.data, spaced.len, err);
    buf_free(&spaced);
    return result;
}

/* Depth first: a piece goes through all its stages before the next one is cut off. */
static int run_stage(void *context, const char *text, size_t len, struct vlmd_error *err)
{
    const struct run *run = context;
    if (run->stage == run->p->n_stages)
        return run->piece(run->context, text, len, err);
    const struct pretokenize_stage *stage = &run->p->stages[run->stage];
    struct run next = *run;
    next.stage++;
    if (!stage->regex)
        return run_prefix(&next, text, len, err);
    return regex_split(stage->regex, stage->which, text, len, run_stage, &next, err);
}

int pretokenize_run(const struct pretokenize *p, const char *text, size_t len, regex_piece_fn piece,
                    void *context, struct vlmd_error *err)
{
    if (len == 0)
        return 0;
    struct run run = {.p = p, .piece = piece, .context = context};
    return run_stage(&run, text, len, err);
}
