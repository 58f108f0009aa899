#include "unit.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

#include "base/buf.h"
#include "base/utf8.h"
#include "tokenizer/tokenizer.h"

#define FLAGS "tests/parity/tokenizer/flags.json"
#define GPT2  "tests/parity/tokenizer/gpt2.json"

static struct tokenizer *open_good(const char *path)
{
    struct vlmd_error err = {0};
    struct tokenizer *t = tokenizer_open(path, &err);
    if (!t)
        printf("%s: %s\n", err.field, err.text);
    assert_non_null(t);
    return t;
}

/* ---- small files made here */

/* "name":id for the 256 bytes, as byte-level files write them. */
static void append_bytes(struct buf *out, int skip)
{
    int next = 0x100;
    for (int byte = 0; byte < 256; byte++) {
        bool prints =
            (byte >= 0x21 && byte <= 0x7E) || (byte >= 0xA1 && byte <= 0xAC) || byte >= 0xAE;
        char name[5] = {0};
        utf8_encode((uint32_t)(prints ? byte : next++), name);
        if (byte != skip)
            buf_appendf(out, "\"%s%s\":%d,", byte == '"' || byte == '\\' ? "\\" : "", name, byte);
    }
}

struct file {
    const char *model;  /* more members of "model" */
    const char *vocab;  /* more tokens, "aa":256 being there */
    const char *merges; /* the list's inside */
    const char *added;
    const char *rest; /* more members of the file, or other ones in place of these below */
    int skip;         /* a byte to leave out, -1 for none */
};

static struct tokenizer *parse(struct file f, struct vlmd_error *err)
{
    struct buf json = {0};
    buf_appendf(&json, "{\"model\":{%s\"vocab\":{", f.model ? f.model : "");
    append_bytes(&json, f.skip);
    buf_appendf(&json, "%s\"aa\":256},\"merges\":[%s]},\"added_tokens\":[%s],",
                f.vocab ? f.vocab : "", f.merges ? f.merges : "\"a a\"", f.added ? f.added : "");
    buf_append_text(&json, f.rest
                               ? f.rest
                               : "\"pre_tokenizer\":{\"type\":\"ByteLevel\",\"add_prefix_space\":"
                                 "false},\"decoder\":{\"type\":\"ByteLevel\"}}");
    struct tokenizer *t = tokenizer_parse(json.data, json.len, err);
    buf_free(&json);
    return t;
}

static void small_files_open(void **state)
{
    (void)state;
    struct vlmd_error err = {0};
    struct tokenizer *t = parse((struct file){.skip = 0xC0}, &err);
    assert_non_null(t);
    assert_int_equal(tokenizer_vocab_size(t), 257);
    int32_t ids[8];
    assert_int_equal(tokenizer_encode(t, "aaab", 4, true, ids, 8, &err), 3);
    assert_int_equal(ids[0], 256);
    assert_int_equal(ids[1], 'a');
    assert_int_equal(ids[2], 'b');
    tokenizer_close(t);
}

#define SPLIT(pattern)                                                                             \
    "{\"type\":\"Split\",\"behavior\":\"Isolated\",\"pattern\":{\"Regex\":\"" pattern "\"}}"
#define PRE(value) "\"pre_tokenizer\":" value ",\"decoder\":{\"type\":\"ByteLevel\"}}"

static void what_is_not_done_is_refused_by_name(void **state)
{
    (void)state;
    static const struct {
        struct file file;
        enum vlmd_code code;
        const char *field;
    } cases[] = {
        {{.skip = 'q'}, VLMD_UNSUPPORTED, "model.vocab"},
        {{.skip = -1, .vocab = "\"x1\":255,"}, VLMD_FORMAT, "model.vocab"},
        {{.skip = -1, .vocab = "\"x1\":-1,"}, VLMD_FORMAT, "model.vocab"},
        {{.skip = -1, .vocab = "\"x1\":2097152,"}, VLMD_FORMAT, "model.vocab"},
        {{.skip = -1, .vocab = "\"x1\":\"3\","}, VLMD_FORMAT, "model.vocab"},
        {{.skip = -1, .merges = "\"a a\",\"a b\""}, VLMD_FORMAT, "model.merges[1]"},
        {{.skip = -1, .merges = "\"aa\""}, VLMD_FORMAT, "model.merges[0]"},
        {{.skip = -1, .merges = "\"a a \""}, VLMD_FORMAT, "model.merges[0]"},
        {{.skip = -1, .merges = "[\"a\"]"}, VLMD_FORMAT, "model.merges[0]"},
        {{.skip = -1, .merges = "7"}, VLMD_FORMAT, "model.merges[0]"},
        {{.skip = -1, .model = "\"type\":\"Unigram\","}, VLMD_UNSUPPORTED, "model.type"},
        {{.skip = -1, .model = "\"byte_fallback\":true,"}, VLMD_UNSUPPORTED, "model.byte_fallback"},
        {{.skip = -1, .model = "\"dropout\":0.1,"}, VLMD_UNSUPPORTED, "model.dropout"},
        {{.skip = -1, .model = "\"end_of_word_suffix\":\"</w>\","},
         VLMD_UNSUPPORTED,
         "model.end_of_word_suffix"},
        {{.skip = -1, .added = "{\"id\":256,\"content\":\"x\"}"},
         VLMD_FORMAT,
         "added_tokens[0].id"},
        {{.skip = -1, .added = "{\"content\":\"x\"}"}, VLMD_FORMAT, "added_tokens[0].id"},
        {{.skip = -1, .added = "{\"id\":257}"}, VLMD_INVALID, "added_tokens[0].content"},
        {{.skip = -1, .added = "{\"id\":257,\"content\":\"\"}"},
         VLMD_FORMAT,
         "added_tokens[0].content"},
        {{.skip = -1, .added = "{\"id\":257,\"content\":\"x1\"},{\"id\":258,\"content\":\"x1\"}"},
         VLMD_FORMAT,
         "added_tokens[1].content"},
        {{.skip = -1, .added = "{\"id\":257,\"content\":\"x1\",\"lstrip\":1}"},
         VLMD_INVALID,
         "added_tokens[0].lstrip"},
        {{.skip = -1, .added = "{\"id\":256,\"content\":\"aa\",\"special\":true}"},
         VLMD_UNSUPPORTED,
         "model.merges[0]"},
        {{.skip = -1, .added = "{\"id\":97,\"content\":\"a\",\"special\":true}"},
         VLMD_UNSUPPORTED,
         "added_tokens"},
        {{.skip = -1, .rest = "\"pre_tokenizer\":{\"type\":\"ByteLevel\"}}"},
         VLMD_UNSUPPORTED,
         "decoder.type"},
        {{.skip = -1, .rest = "\"decoder\":{\"type\":\"ByteLevel\"}}"},
         VLMD_UNSUPPORTED,
         "pre_tokenizer"},
        {{.skip = -1,
          .rest = "\"normalizer\":{\"type\":\"NFKC\"}," PRE("{\"type\":\"ByteLevel\"}")},
         VLMD_UNSUPPORTED,
         "normalizer.type"},
        {{.skip = -1,
          .rest = "\"post_processor\":{\"type\":\"TemplateProcessing\",\"special_tokens\":{\"<s>\":"
                  "{}}}," PRE("{\"type\":\"ByteLevel\"}")},
         VLMD_UNSUPPORTED,
         "post_processor.type"},
        {{.skip = -1, .rest = PRE("{\"type\":\"Metaspace\"}")},
         VLMD_UNSUPPORTED,
         "pre_tokenizer.type"},
        {{.skip = -1, .rest = PRE(SPLIT("a"))}, VLMD_UNSUPPORTED, "pre_tokenizer.type"},
        {{.skip = -1,
          .rest = PRE("{\"type\":\"Sequence\",\"pretokenizers\":[{\"type\":\"ByteLevel\"}," SPLIT(
              "a") "]}")},
         VLMD_UNSUPPORTED,
         "pre_tokenizer.pretokenizers[1].type"},
        {{.skip = -1,
          .rest = PRE("{\"type\":\"Sequence\",\"pretokenizers\":[" SPLIT(
              "a(") ",{\"type\":\"ByteLevel\"}]}")},
         VLMD_FORMAT,
         "pre_tokenizer.pretokenizers[0].pattern.Regex"},
        {{.skip = -1,
          .rest = PRE("{\"type\":\"Sequence\",\"pretokenizers\":[" SPLIT(
              "\\\\bx") ",{\"type\":\"ByteLevel\"}]}")},
         VLMD_UNSUPPORTED,
         "pre_tokenizer.pretokenizers[0].pattern.Regex"},
    };
    for (size_t i = 0; i < sizeof cases / sizeof cases[0]; i++) {
        struct vlmd_error err = {0};
        struct tokenizer *t = parse(cases[i].file, &err);
        if (t || strcmp(err.field, cases[i].field) != 0 || err.code != cases[i].code)
            printf("case %zu: %s: %s\n", i, err.field, err.text);
        assert_null(t);
        assert_string_equal(err.field, cases[i].field);
        assert_int_equal(err.code, cases[i].code);
    }
}

static void files_that_are_none_are_refused(void **state)
{
    (void)state;
    struct vlmd_error err = {0};
    assert_null(tokenizer_open("tests/parity/tokenizer/none.json", &err));
    assert_int_equal(err.code, VLMD_NOT_FOUND);
    static const char *const texts[] = {"", "[]", "{}", "{\"model\":[]}", "{\"model\":{}}", "nope"};
    for (size_t i = 0; i < sizeof texts / sizeof texts[0]; i++) {
        err_clear(&err);
        assert_null(tokenizer_parse(texts[i], strlen(texts[i]), &err));
        assert_int_not_equal(err.code, VLMD_OK);
        assert_string_not_equal(err.field, "");
    }
}

/* ---- special tokens */

static void names_of_tokens_are_plain_text_unless_asked_for(void **state)
{
    (void)state;
    struct tokenizer *t = open_good(FLAGS);
    const char text[] = "<s> word <s><s><mask>  <both>";
    int32_t ids[64];
    int64_t n = tokenizer_encode(t, text, strlen(text), false, ids, 64, NULL);
    assert_true(n > 10);
    for (int64_t i = 0; i < n; i++) {
        assert_false(tokenizer_is_special(t, ids[i]));
        assert_true(ids[i] < tokenizer_special_id(t, "<s>"));
    }
    n = tokenizer_encode(t, text, strlen(text), true, ids, 64, NULL);
    assert_int_equal(ids[0], tokenizer_special_id(t, "<s>"));
    assert_int_equal(ids[n - 1], tokenizer_special_id(t, "<both>"));
    assert_true(tokenizer_is_special(t, ids[0]));
    assert_false(tokenizer_is_special(t, ids[n - 1]));
    assert_int_equal(tokenizer_special_id(t, "<S>"), -1);
    assert_int_equal(tokenizer_special_id(t, "a"), -1);
    tokenizer_close(t);
}

/* Plain parts between added tokens, put together by hand, are the same as doing it at once. */
static void added_tokens_are_found_one_by_one(void **state)
{
    (void)state;
    struct tokenizer *t = open_good(FLAGS);
    const char text[] = "x <s>  y<mask> z word words <s><s>  \xE1\xBA\xB9\xCC\x81q";
    size_t len = strlen(text);
    int32_t whole[64], parts[64];
    int64_t n = tokenizer_encode(t, text, len, true, whole, 64, NULL);
    size_t from = 0, taken = 0, start, end;
    int64_t m = 0;
    int32_t id;
    while (tokenizer_find_added(t, text, len, &from, &start, &end, &id)) {
        m += tokenizer_encode(t, text + taken, start - taken, false, parts + m, 64 - (size_t)m,
                              NULL);
        parts[m++] = id;
        taken = end;
    }
    m += tokenizer_encode(t, text + taken, len - taken, false, parts + m, 64 - (size_t)m, NULL);
    assert_int_equal(whole[n - 2], tokenizer_special_id(t, "e\xCC\x81\xCC\xA3")); /* its NFC */
    assert_int_equal(m, n);
    assert_memory_equal(parts, whole, (size_t)n * sizeof *whole);
    tokenizer_close(t);
}

static void bytes_of_tokens(void **state)
{
    (void)state;
    struct tokenizer *t = open_good(FLAGS);
    size_t len;
    const char *bytes = tokenizer_token_bytes(t, tokenizer_special_id(t, "<both>"), &len);
    assert_int_equal(len, 6);
    assert_memory_equal(bytes, "<both>", 6);
    static const int32_t odd[] = {-1, INT32_MIN, INT32_MAX, 1 << 20};
    for (size_t i = 0; i < sizeof odd / sizeof odd[0]; i++) {
        tokenizer_token_bytes(t, odd[i], &len);
        assert_int_equal(len, 0);
        assert_false(tokenizer_is_special(t, odd[i]));
    }
    tokenizer_token_bytes(t, tokenizer_special_id(t, "<s>"), &len);
    assert_int_equal(len, 0);
    tokenizer_close(t);
}

/* ---- texts */

static void bad_text_is_refused(void **state)
{
    (void)state;
    struct tokenizer *t = open_good(GPT2);
    static const char *const bad[] = {"\x80", "a\xC3", "\xED\xA0\x80", "\xF4\x90\x80\x80",
                                      "\xC0\x80"};
    for (size_t i = 0; i < sizeof bad / sizeof bad[0]; i++) {
        struct vlmd_error err = {0};
        assert_int_equal(tokenizer_encode(t, bad[i], strlen(bad[i]), i % 2, NULL, 0, &err), -1);
        assert_int_equal(err.code, VLMD_INVALID);
        assert_string_equal(err.field, "text");
    }
    struct vlmd_error err = {0};
    assert_int_equal(tokenizer_encode(t, "", TOKENIZER_MAX_TEXT + 1, false, NULL, 0, &err), -1);
    assert_int_equal(err.code, VLMD_TOO_LARGE);
    assert_int_equal(tokenizer_encode(t, "", 0, true, NULL, 0, &err), 0);
    tokenizer_close(t);
}

static void a_short_buffer_gets_the_first_ids(void **state)
{
    (void)state;
    struct tokenizer *t = open_good(GPT2);
    const char text[] = "the quick <|im_start|>brown fox";
    int32_t all[64], some[5] = {-7, -7, -7, -7, -7};
    int64_t n = tokenizer_encode(t, text, strlen(text), true, all, 64, NULL);
    assert_true(n > 5);
    assert_int_equal(tokenizer_encode(t, text, strlen(text), true, some, 4, NULL), n);
    assert_memory_equal(some, all, 4 * sizeof *some);
    assert_int_equal(some[4], -7);
    tokenizer_close(t);
}

static double seconds(void)
{
    struct timespec now;
    clock_gettime(CLOCK_PROCESS_CPUTIME_ID, &now);
    return (double)now.tv_sec + (double)now.tv_nsec * 1e-9;
}

/* A megabyte of anything must not take quadratic time: that would be minutes. */
static void long_pieces_take_no_quadratic_time(void **state)
{
    (void)state;
    static const char *const units[] = {"a", " ",   "\n",  "=", "ab",          "\xCC\x81\xCC\xA3",
                                        "1", "<s>", " <s", "<", "\xE4\xB8\xAD"};
    struct tokenizer *t = open_good(FLAGS);
    for (size_t i = 0; i < sizeof units / sizeof units[0]; i++) {
        struct buf text = {0};
        while (text.len < 1 << 20)
            buf_append_text(&text, units[i]);
        double before = seconds();
        struct vlmd_error err = {0};
        assert_true(tokenizer_encode(t, text.data, text.len, true, NULL, 0, &err) > 0);
        assert_true(seconds() - before < 10); /* sanitizers and slow machines included */
        buf_free(&text);
    }
    tokenizer_close(t);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(small_files_open),
        cmocka_unit_test(what_is_not_done_is_refused_by_name),
        cmocka_unit_test(files_that_are_none_are_refused),
        cmocka_unit_test(names_of_tokens_are_plain_text_unless_asked_for),
        cmocka_unit_test(added_tokens_are_found_one_by_one),
        cmocka_unit_test(bytes_of_tokens),
        cmocka_unit_test(bad_text_is_refused),
        cmocka_unit_test(a_short_buffer_gets_the_first_ids),
        cmocka_unit_test(long_pieces_take_no_quadratic_time),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
