#include "engine/text_stream.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/buf.h"
#include "base/utf8.h"
#include "engine/engine_internal.h"

/* One stop string as a Knuth-Morris-Pratt automaton over bytes. */
struct stop {
    char *text;
    size_t len;
    size_t *fallback; /* [len] longest proper prefix of text that ends text[0..i] */
    size_t matched;   /* bytes of it that the text so far ends with */
};

struct vlmd_text_stream {
    const struct tokenizer *tokenizer;
    struct stop *stops;
    size_t n_stops;
    char partial[4]; /* the beginning of a character */
    size_t n_partial;
    struct buf text; /* whole characters: sent[0..sent), then what is held back */
    size_t sent;     /* bytes handed out by the last call */
    bool stopped;
};

/* ---- opening */

static int stop_init(struct stop *stop, const char *text, struct vlmd_error *err)
{
    size_t len = strlen(text);
    if (len == 0 || len > TEXT_STREAM_MAX_STOP_BYTES || !utf8_valid(text, len))
        return err_set(err, VLMD_INVALID, NULL, "a stop string has 1 to %d bytes of UTF-8",
                       TEXT_STREAM_MAX_STOP_BYTES);
    stop->text = strdup(text);
    stop->fallback = calloc(len, sizeof *stop->fallback);
    if (!stop->text || !stop->fallback)
        return err_no_memory(err, len);
    stop->len = len;
    for (size_t i = 1, k = 0; i < len; i++) {
        while (k > 0 && text[i] != text[k])
            k = stop->fallback[k - 1];
        if (text[i] == text[k])
            k++;
        stop->fallback[i] = k;
    }
    return 0;
}

vlmd_text_stream *text_stream_create(const struct tokenizer *tokenizer, const char *const *stops,
                                     size_t n_stops, struct vlmd_error *err)
{
    if (n_stops > TEXT_STREAM_MAX_STOPS) {
        err_set(err, VLMD_INVALID, "stop", "at most %d stop strings are taken",
                TEXT_STREAM_MAX_STOPS);
        return NULL;
    }
    vlmd_text_stream *stream = calloc(1, sizeof *stream);
    if (!stream) {
        err_no_memory(err, sizeof *stream);
        return NULL;
    }
    stream->tokenizer = tokenizer;
    stream->stops = calloc(n_stops ? n_stops : 1, sizeof *stream->stops);
    if (!stream->stops) {
        err_no_memory(err, n_stops * sizeof *stream->stops);
        goto fail;
    }
    for (; stream->n_stops < n_stops; stream->n_stops++) {
        size_t i = stream->n_stops;
        if (stop_init(&stream->stops[i], stops[i], err) < 0) {
            char field[32];
            snprintf(field, sizeof field, "stop[%zu]", i);
            err_prefix_field(err, field);
            stream->n_stops++; /* it may own memory already */
            goto fail;
        }
    }
    return stream;
fail:
    vlmd_text_stream_close(stream);
    return NULL;
}

vlmd_text_stream *vlmd_text_stream_open(const vlmd_engine *engine, const char *const *stops,
                                        size_t n_stops, struct vlmd_error *err)
{
    return text_stream_create(engine->tokenizer, stops, n_stops, err);
}

void vlmd_text_stream_close(vlmd_text_stream *stream)
{
    if (!stream)
        return;
    for (size_t i = 0; i < stream->n_stops; i++) {
        free(stream->stops[i].text);
        free(stream->stops[i].fallback);
    }
    free(stream->stops);
    buf_free(&stream->text);
    free(stream);
}

/* ---- stop strings */

/* True when the stop string ends with this byte. */
static bool stop_feed(struct stop *stop, char byte)
{
    size_t k = stop->matched;
    if (k == stop->len)
        k = stop->fallback[k - 1];
    while (k > 0 && stop->text[k] != byte)
        k = stop->fallback[k - 1];
    if (stop->text[k] == byte)
        k++;
    stop->matched = k;
    return k == stop->len;
}

/* The longest stop string that ends with this byte, in bytes; 0 when none does. */
static size_t feed_stops(vlmd_text_stream *stream, char byte)
{
    size_t longest = 0;
    for (size_t i = 0; i < stream->n_stops; i++) {
        struct stop *stop = &stream->stops[i];
        if (stop_feed(stop, byte) && stop->len > longest)
            longest = stop->len;
    }
    return longest;
}

/* Bytes at the text's end that may be the beginning of a stop string. They begin a character,
 * because stop strings do. */
static size_t held_back(const vlmd_text_stream *stream)
{
    size_t most = 0;
    for (size_t i = 0; i < stream->n_stops; i++) {
        if (stream->stops[i].matched > most)
            most = stream->stops[i].matched;
    }
    return most;
}

/* Adds one whole character. */
static int add_character(vlmd_text_stream *stream, const char *bytes, size_t n,
                         struct vlmd_error *err)
{
    if (stream->stopped)
        return 0;
    if (buf_append(&stream->text, bytes, n) < 0)
        return err_no_memory(err, stream->text.len + n);
    size_t longest = 0;
    for (size_t i = 0; i < n; i++)
        longest = feed_stops(stream, bytes[i]);
    if (longest) {
        stream->text.len -= longest;
        stream->stopped = true;
    }
    return 0;
}

/* ---- UTF-8 */

static int add_replacement(vlmd_text_stream *stream, struct vlmd_error *err)
{
    stream->n_partial = 0;
    return add_character(stream, "\xEF\xBF\xBD", 3, err);
}

static int add_byte(vlmd_text_stream *stream, char byte, struct vlmd_error *err)
{
    uint32_t point;
    stream->partial[stream->n_partial++] = byte;
    int n = utf8_decode(stream->partial, stream->n_partial, &point);
    if (n == 0)
        return 0;
    if (n > 0) {
        size_t whole = stream->n_partial;
        stream->n_partial = 0;
        return add_character(stream, stream->partial, whole, err);
    }
    bool first = stream->n_partial == 1;
    if (add_replacement(stream, err) < 0)
        return -1;
    /* the byte that broke the character off may begin one itself */
    return first ? 0 : add_byte(stream, byte, err);
}

/* ---- pushing */

static void forget_sent(vlmd_text_stream *stream)
{
    buf_consume(&stream->text, stream->sent);
    stream->sent = 0;
}

static void hand_out(vlmd_text_stream *stream, size_t n, const char **text, size_t *len)
{
    stream->sent = n;
    *text = stream->text.data ? stream->text.data : "";
    *len = n;
}

int text_stream_push_bytes(vlmd_text_stream *stream, const char *bytes, size_t n_bytes,
                           const char **text, size_t *len, struct vlmd_error *err)
{
    forget_sent(stream);
    for (size_t i = 0; i < n_bytes; i++) {
        if (add_byte(stream, bytes[i], err) < 0)
            return -1;
    }
    size_t held = stream->stopped ? 0 : held_back(stream);
    hand_out(stream, stream->text.len - held, text, len);
    return stream->stopped ? 1 : 0;
}

int vlmd_text_stream_push(vlmd_text_stream *stream, int32_t token, const char **text, size_t *len,
                          struct vlmd_error *err)
{
    size_t n;
    const char *bytes = tokenizer_token_bytes(stream->tokenizer, token, &n);
    return text_stream_push_bytes(stream, bytes, n, text, len, err);
}

int vlmd_text_stream_finish(vlmd_text_stream *stream, const char **text, size_t *len,
                            struct vlmd_error *err)
{
    forget_sent(stream);
    if (stream->n_partial > 0 && add_replacement(stream, err) < 0)
        return -1;
    for (size_t i = 0; i < stream->n_stops; i++)
        stream->stops[i].matched = 0;
    hand_out(stream, stream->text.len, text, len);
    return stream->stopped ? 1 : 0;
}
