/* vlmd's side of the comparison with other engines (bench/peers/peers.py). Opens a checkpoint, says
 * "ready SECONDS NAME", and then answers each line on its standard input with "seconds X" (a step's
 * median) or "error TEXT":
 *
 *   prefill N              N tokens, logits of the last
 *   decode B CONTEXT N     N steps of B sequences with CONTEXT tokens each before the first
 *   vision SIDE            the vision tower on a square picture of SIDE pixels
 *   first SIDE N           the same picture and N tokens of text, up to the first logits
 *   ops                    from then on each answer comes after a line "op ..." for each of the
 *                          backend's ops, with its share of all the time since the last
 *
 * The time of "ready" includes a step of one token, so that all weights were touched. A context
 * is not computed: its first block is, and copied, since a step's cost does not depend on the
 * values. That takes the engine's own header.
 *
 *   peers_ours CHECKPOINT [THREADS [KV_TOKENS [ISA]]] */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "engine/engine_internal.h"
#include "measure.h"
#include "ops_time.h"

enum {
    MOST_SEQUENCES = 64,
    MOST_STEPS = 64
};

struct bench {
    vlmd_engine *engine;
    float *logits;   /* MOST_SEQUENCES x vocab_size */
    int32_t *tokens; /* context_length */
    struct vlmd_error err;
};

static int by_size(const void *a, const void *b)
{
    double x = *(const double *)a, y = *(const double *)b;
    return (x > y) - (x < y);
}

static double median(double *values, int n)
{
    qsort(values, (size_t)n, sizeof *values, by_size);
    return values[n / 2];
}

static bool fill_tokens(struct bench *b, int32_t n)
{
    if (n < 1 || n > b->engine->info.context_length) {
        err_set(&b->err, VLMD_TOO_LARGE, "tokens", "1 to %d tokens, not %d",
                b->engine->info.context_length, n);
        return false;
    }
    for (int32_t i = 0; i < n; i++)
        b->tokens[i] = 100 + i * 37 % 2000;
    return true;
}

/* Runs all pending tokens, in steps as large as the engine takes. */
static int run_pending(struct bench *b, vlmd_session *s)
{
    while (vlmd_session_pending(s) > 0) {
        int32_t n = vlmd_session_pending(s), most = b->engine->info.batch_tokens;
        struct vlmd_step_item item = {.session = s, .n_tokens = n < most ? n : most};
        item.logits = n <= most ? b->logits : NULL;
        if (vlmd_step(b->engine, &item, 1, NULL, NULL, &b->err) < 0)
            return -1;
    }
    return 0;
}

static int prefill(struct bench *b, int32_t n, double *seconds)
{
    vlmd_session *s = vlmd_session_open(b->engine, &b->err);
    int rc = -1;
    if (s && fill_tokens(b, n) && vlmd_session_append(s, b->tokens, n, NULL, 0, &b->err) == 0) {
        double start = measure_seconds();
        rc = run_pending(b, s);
        *seconds = measure_seconds() - start;
    }
    vlmd_session_close(s);
    return rc;
}

/* The blocks from the second on become copies of the first. */
static void copy_first_block(struct bench *b, const vlmd_session *s)
{
    struct kv_cache *kv = &b->engine->kv;
    size_t bytes = kv->bytes / 2 / (size_t)kv->n_layers / (size_t)kv->shape.n_blocks;
    for (int32_t layer = 0; layer < kv->n_layers; layer++) {
        unsigned char *keys = (void *)kv->layers[layer].keys;
        unsigned char *values = (void *)kv->layers[layer].values;
        size_t from = (size_t)s->blocks[0] * bytes;
        for (int32_t i = 1; i < s->n_blocks; i++) {
            size_t to = (size_t)s->blocks[i] * bytes;
            memcpy(keys + to, keys + from, bytes);
            memcpy(values + to, values + from, bytes);
        }
    }
}

/* A session with a context of n tokens, at least one. */
static vlmd_session *open_context(struct bench *b, int32_t n)
{
    vlmd_session *s = vlmd_session_open(b->engine, &b->err);
    int32_t real = n < KV_BLOCK_TOKENS ? n : KV_BLOCK_TOKENS;
    if (!s || !fill_tokens(b, n) || vlmd_session_append(s, b->tokens, real, NULL, 0, &b->err) < 0 ||
        run_pending(b, s) < 0 ||
        vlmd_session_append(s, b->tokens, n - real, NULL, 0, &b->err) < 0 ||
        vlmd_session_reserve(s, n - real, &b->err) < 0) {
        vlmd_session_close(s);
        return NULL;
    }
    copy_first_block(b, s);
    s->stepped = n;
    return s;
}

static int decode_step(struct bench *b, vlmd_session **sessions, int32_t n)
{
    struct vlmd_step_item items[MOST_SEQUENCES];
    for (int32_t i = 0; i < n; i++) {
        int32_t token = 100 + i;
        if (vlmd_session_append(sessions[i], &token, 1, NULL, 0, &b->err) < 0)
            return -1;
        items[i] = (struct vlmd_step_item){
            .session = sessions[i],
            .n_tokens = 1,
            .logits = b->logits + (size_t)i * (size_t)b->engine->info.vocab_size,
        };
    }
    return vlmd_step(b->engine, items, n, NULL, NULL, &b->err);
}

static int decode(struct bench *b, int32_t n, int32_t context, int32_t steps, double *seconds)
{
    vlmd_session *sessions[MOST_SEQUENCES] = {0};
    double times[MOST_STEPS];
    int rc = -1;
    for (int32_t i = 0; i < n; i++)
        if (!(sessions[i] = open_context(b, context > 0 ? context : 1)))
            goto out;
    if (decode_step(b, sessions, n) < 0)
        goto out;
    for (int32_t i = 0; i < steps; i++) {
        double start = measure_seconds();
        if (decode_step(b, sessions, n) < 0)
            goto out;
        times[i] = measure_seconds() - start;
    }
    *seconds = median(times, steps);
    rc = 0;
out:
    for (int32_t i = 0; i < n; i++)
        vlmd_session_close(sessions[i]);
    return rc;
}

static uint8_t *make_picture(int32_t side)
{
    size_t bytes = (size_t)side * (size_t)side * 3;
    uint8_t *rgb = malloc(bytes);
    for (size_t i = 0; rgb && i < bytes; i++)
        rgb[i] = (uint8_t)(i * 2654435761u >> 13);
    return rgb;
}

/* The tower, and with text > 0 the prompt after it. */
static int see(struct bench *b, int32_t side, int32_t text, double *seconds)
{
    int rc = -1;
    vlmd_image *image = NULL;
    vlmd_session *s = NULL;
    uint8_t *rgb = make_picture(side);
    if (!rgb) {
        err_no_memory(&b->err, (size_t)side * (size_t)side * 3);
        return -1;
    }
    double start = measure_seconds();
    image = vlmd_image_encode(b->engine, rgb, side, side, NULL, NULL, &b->err);
    if (!image)
        goto out;
    if (text > 0) {
        int32_t n = vlmd_image_tokens(image) + text;
        s = vlmd_session_open(b->engine, &b->err);
        if (!s || !fill_tokens(b, n))
            goto out;
        for (int32_t i = 0; i < n - text; i++)
            b->tokens[text / 2 + i] = b->engine->info.image_token;
        if (vlmd_session_append(s, b->tokens, n, &image, 1, &b->err) < 0 || run_pending(b, s) < 0)
            goto out;
    }
    *seconds = measure_seconds() - start;
    rc = 0;
out:
    vlmd_session_close(s);
    vlmd_image_free(image);
    free(rgb);
    return rc;
}

static int answer(struct bench *b, const char *line, double *seconds)
{
    int32_t x, y, z;
    if (sscanf(line, "prefill %d", &x) == 1)
        return prefill(b, x, seconds);
    if (sscanf(line, "decode %d %d %d", &x, &y, &z) == 3 && x >= 1 && x <= MOST_SEQUENCES &&
        z >= 1 && z <= MOST_STEPS)
        return decode(b, x, y, z, seconds);
    if (sscanf(line, "vision %d", &x) == 1 && x >= 28 && x <= 4096)
        return see(b, x, 0, seconds);
    if (sscanf(line, "first %d %d", &x, &y) == 2 && x >= 28 && x <= 4096 && y >= 1)
        return see(b, x, y, seconds);
    return err_set(&b->err, VLMD_INVALID, "line", "not understood: %s", line);
}

int main(int argc, char **argv)
{
    struct bench b = {0};
    if (argc < 2) {
        fputs("usage: peers_ours CHECKPOINT [THREADS [KV_TOKENS [ISA]]]\n", stderr);
        return 2;
    }
    struct vlmd_engine_options options = {
        .threads = argc > 2 ? atoi(argv[2]) : 0,
        .kv_tokens = argc > 3 ? atoi(argv[3]) : 0,
        .isa = argc > 4 ? argv[4] : NULL,
    };
    double start = measure_seconds(), seconds;
    b.engine = vlmd_engine_open(argv[1], &options, &b.err);
    if (!b.engine) {
        fprintf(stderr, "%s: %s\n", b.err.field, b.err.text);
        return 1;
    }
    const struct vlmd_engine_info *info = vlmd_engine_info(b.engine);
    b.logits = malloc((size_t)info->vocab_size * MOST_SEQUENCES * sizeof *b.logits);
    b.tokens = malloc((size_t)info->context_length * sizeof *b.tokens);
    if (!b.logits || !b.tokens || prefill(&b, 1, &seconds) < 0)
        return 1;
    printf("ready %.6f vlmd (%s)\n", measure_seconds() - start, info->isa);
    fflush(stdout);
    char line[256];
    bool by_op = false;
    while (fgets(line, sizeof line, stdin)) {
        if (strncmp(line, "ops", 3) == 0 && !by_op) {
            ops_time_begin(b.engine->be);
            by_op = true;
            continue;
        }
        int rc = answer(&b, line, &seconds);
        if (by_op)
            ops_time_print(stdout);
        if (rc == 0)
            printf("seconds %.6f\n", seconds);
        else
            printf("error %s: %s\n", b.err.field, b.err.text);
        fflush(stdout);
    }
    free(b.logits);
    free(b.tokens);
    vlmd_engine_close(b.engine);
    return 0;
}
