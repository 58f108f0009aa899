#include "tokenizer/regex.h"

#define PCRE2_CODE_UNIT_WIDTH 8
#include <pcre2.h>
#include <stdlib.h>
#include <string.h>

#define STEPS_PER_MATCH 20000000u /* PCRE2's match limit: ends catastrophic backtracking */
#define HEAP_KIB        65536u

struct regex {
    pcre2_code *code;
    pcre2_match_context *limits;
};

static pcre2_code *compile(const char *pattern, struct vlmd_error *err)
{
    pcre2_compile_context *context = pcre2_compile_context_create(NULL);
    if (!context) {
        err_no_memory(err, 0);
        return NULL;
    }
    pcre2_set_newline(context, PCRE2_NEWLINE_LF);
    pcre2_set_parens_nest_limit(context, 100);
    int why;
    PCRE2_SIZE where;
    pcre2_code *code =
        pcre2_compile((PCRE2_SPTR)pattern, PCRE2_ZERO_TERMINATED,
                      PCRE2_UTF | PCRE2_UCP | PCRE2_MULTILINE, &why, &where, context);
    pcre2_compile_context_free(context);
    if (!code) {
        PCRE2_UCHAR text[128] = "";
        pcre2_get_error_message(why, text, sizeof text);
        err_set(err, VLMD_FORMAT, "Regex", "the pattern does not compile: %s", (char *)text);
    }
    return code;
}

struct regex *regex_compile(const char *pattern, size_t len, struct vlmd_error *err)
{
    char *translated = regex_translate(pattern, len, err);
    if (!translated)
        return NULL;
    struct regex *r = calloc(1, sizeof *r);
    if (!r) {
        err_no_memory(err, sizeof *r);
        goto fail;
    }
    r->code = compile(translated, err);
    if (!r->code)
        goto fail;
    r->limits = pcre2_match_context_create(NULL);
    if (!r->limits) {
        err_no_memory(err, 0);
        goto fail;
    }
    pcre2_set_match_limit(r->limits, STEPS_PER_MATCH);
    pcre2_set_heap_limit(r->limits, HEAP_KIB);
    /* where executable memory is refused, matching is interpreted */
    pcre2_jit_compile(r->code, PCRE2_JIT_COMPLETE);
    free(translated);
    return r;
fail:
    free(translated);
    regex_free(r);
    return NULL;
}

void regex_free(struct regex *r)
{
    if (!r)
        return;
    pcre2_code_free(r->code);
    pcre2_match_context_free(r->limits);
    free(r);
}

/* 1 and the match's place, 0 when there is none, -1 with *err. */
static int next_match(const struct regex *r, pcre2_match_data *data, const char *text, size_t len,
                      size_t from, size_t *start, size_t *end, struct vlmd_error *err)
{
    int n = pcre2_match(r->code, (PCRE2_SPTR)text, len, from, PCRE2_NO_UTF_CHECK, data, r->limits);
    if (n == PCRE2_ERROR_JIT_STACKLIMIT)
        n = pcre2_match(r->code, (PCRE2_SPTR)text, len, from, PCRE2_NO_UTF_CHECK | PCRE2_NO_JIT,
                        data, r->limits);
    if (n == PCRE2_ERROR_NOMATCH)
        return 0;
    if (n < 0)
        return err_set(err, VLMD_TOO_LARGE, "text",
                       "the pre-tokenizer's pattern gave up on this text (PCRE2 error %d)", n);
    const PCRE2_SIZE *place = pcre2_get_ovector_pointer(data);
    *start = place[0];
    *end = place[1];
    if (*start > *end || *end > len || *start < from)
        return err_set(err, VLMD_UNSUPPORTED, "text", "the pre-tokenizer's pattern moves backward");
    return 1;
}

static size_t next_character(const char *text, size_t len, size_t at)
{
    at++;
    while (at < len && ((unsigned char)text[at] & 0xC0) == 0x80)
        at++;
    return at;
}

int regex_split(const struct regex *r, enum regex_pieces which, const char *text, size_t len,
                regex_piece_fn piece, void *context, struct vlmd_error *err)
{
    pcre2_match_data *data = pcre2_match_data_create(1, NULL);
    if (!data)
        return err_no_memory(err, 0);
    int result = -1;
    size_t done = 0; /* end of the last match */
    size_t from = 0; /* where the next one may begin */
    while (from <= len) {
        size_t start = 0, end = 0;
        int found = next_match(r, data, text, len, from, &start, &end, err);
        if (found < 0)
            goto out;
        if (found == 0)
            break;
        if (start > done && which != REGEX_MATCHES &&
            piece(context, text + done, start - done, err) < 0)
            goto out;
        if (end > start && which != REGEX_GAPS &&
            piece(context, text + start, end - start, err) < 0)
            goto out;
        /* an empty match still cuts the text; the search goes on behind the next character */
        from = end > start ? end : next_character(text, len, end);
        done = end;
    }
    if (len > done && which != REGEX_MATCHES && piece(context, text + done, len - done, err) < 0)
        goto out;
    result = 0;
out:
    pcre2_match_data_free(data);
    return result;
}
