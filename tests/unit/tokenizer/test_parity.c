/* Token ids against Hugging Face `tokenizers`: every line of a file that
 * tools/fixtures/tokenizer.py made, with the tokenizer it was made for.
 *
 *     test_parity                      the slices in the repository, as a unit test
 *     test_parity TOKENIZER LINES      any pair, with a closing line that counts the differences */
#include "unit.h"

#include <jansson.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "base/buf.h"
#include "base/utf8.h"
#include "tokenizer/tokenizer.h"

#define SHIPPED_TOKENIZER "models/vlmd-tiny/tokenizer.json"
#define FOLDER            "tests/parity/tokenizer/"
#define MAX_IDS           65536

struct tally {
    long lines, ids, differences;
};

static bool same_ids(const struct tokenizer *t, const json_t *line, struct tally *tally)
{
    static int32_t ids[MAX_IDS];
    const json_t *text = json_object_get(line, "text");
    const json_t *wanted = json_object_get(line, "ids");
    bool special = json_is_true(json_object_get(line, "special"));
    struct vlmd_error err = {0};
    int64_t n = tokenizer_encode(t, json_string_value(text), json_string_length(text), special, ids,
                                 MAX_IDS, &err);
    if (n < 0)
        fprintf(stderr, "%s: %s\n", err.field, err.text);
    if (n != (int64_t)json_array_size(wanted))
        return false;
    tally->ids += (long)n;
    for (int64_t i = 0; i < n; i++) {
        if (ids[i] != json_integer_value(json_array_get(wanted, (size_t)i)))
            return false;
    }
    return true;
}

/* Appends text with U+FFFD for each longest run that begins a character and does not end it. */
static void append_lossy(struct buf *out, const char *text, size_t len)
{
    for (size_t i = 0; i < len;) {
        uint32_t point;
        int n = utf8_decode(text + i, len - i, &point);
        if (n > 0) {
            buf_append(out, text + i, (size_t)n);
            i += (size_t)n;
            continue;
        }
        buf_append_text(out, "\xEF\xBF\xBD");
        size_t bad = 1;
        while (bad < 3 && i + bad < len && utf8_decode(text + i, bad + 1, &point) == 0)
            bad++;
        i += bad;
    }
}

static bool same_text(const struct tokenizer *t, const json_t *line, struct tally *tally)
{
    const json_t *ids = json_object_get(line, "decode");
    const json_t *wanted = json_object_get(line, "text");
    struct buf bytes = {0}, text = {0};
    for (size_t i = 0; i < json_array_size(ids); i++) {
        int32_t id = (int32_t)json_integer_value(json_array_get(ids, i));
        size_t len;
        const char *token = tokenizer_token_bytes(t, id, &len);
        buf_append(&bytes, token, len);
    }
    append_lossy(&text, bytes.data, bytes.len);
    bool same = text.len == json_string_length(wanted) &&
                (text.len == 0 || memcmp(text.data, json_string_value(wanted), text.len) == 0);
    tally->ids += (long)json_array_size(ids);
    buf_free(&bytes);
    buf_free(&text);
    return same;
}

static void compare_line(const struct tokenizer *t, const char *text, size_t len,
                         struct tally *tally)
{
    json_error_t why;
    json_t *line = json_loadb(text, len, JSON_ALLOW_NUL, &why);
    if (!line) {
        fprintf(stderr, "line %ld: %s\n", tally->lines + 1, why.text);
        exit(2);
    }
    bool same =
        json_object_get(line, "decode") ? same_text(t, line, tally) : same_ids(t, line, tally);
    tally->lines++;
    if (!same && tally->differences++ < 20)
        fprintf(stderr, "differs: %.*s", (int)len, text);
    json_decref(line);
}

static int compare(const char *tokenizer_path, const char *lines_path, struct tally *tally)
{
    struct vlmd_error err = {0};
    struct tokenizer *t = tokenizer_open(tokenizer_path, &err);
    if (!t) {
        fprintf(stderr, "%s: %s: %s\n", tokenizer_path, err.field, err.text);
        return -1;
    }
    FILE *file = fopen(lines_path, "r");
    if (!file) {
        perror(lines_path);
        tokenizer_close(t);
        return -1;
    }
    char *text = NULL;
    size_t cap = 0;
    ssize_t len;
    while ((len = getline(&text, &cap, file)) > 0)
        compare_line(t, text, (size_t)len, tally);
    free(text);
    fclose(file);
    tokenizer_close(t);
    return 0;
}

static void compare_slice(const char *tokenizer, const char *lines, long least)
{
    struct tally tally = {0};
    assert_int_equal(compare(tokenizer, lines, &tally), 0);
    assert_true(tally.lines >= least);
    assert_int_equal(tally.differences, 0);
}

static void ids_of_shipped_tokenizer_are_the_references(void **state)
{
    (void)state;
    if (access(SHIPPED_TOKENIZER, R_OK) != 0) {
        printf("SKIPPED: %s is not there\n", SHIPPED_TOKENIZER);
        skip();
    }
    compare_slice(SHIPPED_TOKENIZER, FOLDER "vlmd_tiny.jsonl", 500);
}

static void ids_of_other_kinds_of_tokenizers_are_the_references(void **state)
{
    (void)state;
    static const char *const names[] = {"gpt2",          "prefix_each", "flags",
                                        "ignore_merges", "stages",      "removed"};
    for (size_t i = 0; i < sizeof names / sizeof names[0]; i++) {
        char tokenizer[128], lines[128];
        snprintf(tokenizer, sizeof tokenizer, FOLDER "%s.json", names[i]);
        snprintf(lines, sizeof lines, FOLDER "%s.jsonl", names[i]);
        compare_slice(tokenizer, lines, 90);
    }
}

int main(int argc, char **argv)
{
    if (argc == 3) {
        struct tally tally = {0};
        if (compare(argv[1], argv[2], &tally) < 0)
            return 2;
        printf("%ld lines, %ld ids, %ld differences\n", tally.lines, tally.ids, tally.differences);
        return tally.lines > 0 && tally.differences == 0 ? 0 : 1;
    }
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(ids_of_shipped_tokenizer_are_the_references),
        cmocka_unit_test(ids_of_other_kinds_of_tokenizers_are_the_references),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
