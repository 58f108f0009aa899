/* The tokenizer against hostile input. The first byte chooses: a hostile tokenizer.json that is
 * then used on a text, a hostile text for good tokenizers, or a hostile pattern. Beyond memory
 * errors it checks that ids are in range, that a text without added tokens survives the round trip,
 * and that only files that say so are refused. */
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/buf.h"
#include "base/utf8.h"
#include "tokenizer/regex.h"
#include "tokenizer/tokenizer.h"

#define MAX_IDS 65536

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

static void require(bool truth, const char *what)
{
    if (!truth) {
        fprintf(stderr, "broken: %s\n", what);
        abort();
    }
}

static int64_t encode(const struct tokenizer *t, const char *text, size_t len, bool special)
{
    static int32_t ids[MAX_IDS];
    struct vlmd_error err = {0};
    struct buf back = {0};
    int64_t n = tokenizer_encode(t, text, len, special, ids, MAX_IDS, &err);
    require(n >= 0 || err.code != VLMD_OK, "a failure has a code");
    for (int64_t i = 0; i < n && i < MAX_IDS; i++) {
        size_t token_len;
        require(ids[i] >= 0 && ids[i] < tokenizer_vocab_size(t), "an id is in range");
        require(special || !tokenizer_is_special(t, ids[i]), "plain text makes no special token");
        const char *bytes = tokenizer_token_bytes(t, ids[i], &token_len);
        buf_append(&back, bytes, token_len);
    }
    /* whether the text itself survives depends on normalizer and pre-tokenizer */
    require(back.len == 0 || n > MAX_IDS || special || utf8_valid(back.data, back.len) || n < 0,
            "ids of text are text");
    buf_free(&back);
    return n;
}

/* Byte tokens, a few merges and added tokens; %s is the rest of the model and the pre-tokenizer. */
static struct tokenizer *small_tokenizer(bool gpt2)
{
    struct buf json = {0};
    int next = 0x100;
    buf_append_text(&json, "{\"model\":{\"type\":\"BPE\",\"vocab\":{");
    for (int byte = 0; byte < 256; byte++) {
        char name[5] = {0};
        bool prints =
            (byte >= 0x21 && byte <= 0x7E) || (byte >= 0xA1 && byte <= 0xAC) || byte >= 0xAE;
        utf8_encode((uint32_t)(prints ? byte : next++), name);
        buf_appendf(&json, "\"%s%s\":%d,", byte == '"' || byte == '\\' ? "\\" : "", name, byte);
    }
    buf_append_text(&json, "\"aa\":256,\"aaaa\":257,\"ab\":258,\"\xC4\xA0"
                           "a\":259},\"merges\":[\"a a\",[\"aa\",\"aa\"],\"a b\",\"\xC4\xA0 a\"]},"
                           "\"added_tokens\":[{\"id\":260,\"content\":\"<s>\",\"special\":true},"
                           "{\"id\":261,\"content\":\"<w>\",\"single_word\":true,\"lstrip\":true,"
                           "\"rstrip\":true},{\"id\":262,\"content\":\" <s\",\"normalized\":true}],"
                           "\"decoder\":{\"type\":\"ByteLevel\"},\"normalizer\":{\"type\":\"NFC\"},"
                           "\"pre_tokenizer\":");
    buf_append_text(&json,
                    gpt2 ? "{\"type\":\"ByteLevel\",\"add_prefix_space\":true}}"
                         : "{\"type\":\"Sequence\",\"pretokenizers\":[{\"type\":\"Split\","
                           "\"behavior\":\"Isolated\",\"pattern\":{\"Regex\":"
                           "\"(?i:'s|'t|'re|'ve|'m|'ll|'d)|[^\\\\r\\\\n\\\\p{L}\\\\p{N}]?\\\\p{L}+|"
                           "\\\\p{N}| ?[^\\\\s\\\\p{L}\\\\p{N}]+[\\\\r\\\\n]*|\\\\s*[\\\\r\\\\n]+|"
                           "\\\\s+(?!\\\\S)|\\\\s+\"}},{\"type\":\"ByteLevel\",\"use_regex\":false,"
                           "\"add_prefix_space\":false}]}}");
    struct vlmd_error err = {0};
    struct tokenizer *t = tokenizer_parse(json.data, json.len, &err);
    if (!t)
        fprintf(stderr, "%s: %s\n", err.field, err.text);
    require(t != NULL, "the small tokenizer opens");
    buf_free(&json);
    return t;
}

static void hostile_text(const char *text, size_t len)
{
    static struct tokenizer *tokenizers[2];
    for (int i = 0; i < 2; i++) {
        if (!tokenizers[i])
            tokenizers[i] = small_tokenizer(i == 0);
        int64_t n = encode(tokenizers[i], text, len, false);
        require((n >= 0) == utf8_valid(text, len), "text is taken when it is UTF-8");
        encode(tokenizers[i], text, len, true);
    }
}

static void hostile_file(const char *json, size_t len)
{
    static const char text[] = "It's 12 caf\xC3\xA9s, <s>aaaa</s>  \r\n e\xCC\x81\xE2\x80\x89";
    struct vlmd_error err = {0};
    struct tokenizer *t = tokenizer_parse(json, len, &err);
    require(t || err.code != VLMD_OK, "a refusal has a code");
    if (!t)
        return;
    encode(t, text, sizeof text - 1, true);
    encode(t, text, sizeof text - 1, false);
    tokenizer_close(t);
}

static int ignore_piece(void *context, const char *text, size_t len, struct vlmd_error *err)
{
    (void)text;
    (void)err;
    *(size_t *)context += len;
    return 0;
}

static void hostile_pattern(const char *pattern, size_t len)
{
    static const char text[] = "It's 12 \xC3\xA9t\xC3\xA9 \r\n aaaaaaaaaaaaaaaa";
    struct vlmd_error err = {0};
    size_t total = 0;
    struct regex *r = regex_compile(pattern, len, &err);
    require(r || err.code != VLMD_OK, "a refusal has a code");
    if (!r)
        return;
    if (regex_split(r, REGEX_MATCHES_AND_GAPS, text, sizeof text - 1, ignore_piece, &total, &err) ==
        0)
        require(total == sizeof text - 1, "the pieces are the text");
    regex_free(r);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    if (size == 0)
        return 0;
    const char *rest = (const char *)data + 1;
    switch (data[0]) {
    case 'j':
        hostile_file(rest, size - 1);
        break;
    case 'r':
        hostile_pattern(rest, size - 1);
        break;
    default:
        hostile_text(rest, size - 1);
    }
    return 0;
}
