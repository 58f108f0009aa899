/* Measures the engine against the fixtures of tools/fixtures/engine.py through the public header
 * alone: vision features, logits at every position (whole prompts, small chunks, ragged batches,
 * which must agree to the last bit, so that an answer does not depend on who else is served),
 * greedy text. One line per check; the last line counts. */
#include <math.h>
#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "parity/engine/fixture.h"
#include "parity/engine/picture.h"
#include "vlmd.h"

#define VISION_LIMIT 1e-3
#define LOGITS_LIMIT 2e-3
#define MAX_IMAGES   8
#define MAX_SESSIONS 4
#define KV_TOKENS    8192
#define QUICK_GREEDY 8

struct tally {
    int passed, failed;
};

/* ||a - b|| / ||b||, gathered piece by piece. */
struct relative {
    double difference, reference;
};

static void relative_add(struct relative *r, float got, float expected)
{
    double d = (double)got - (double)expected;
    r->difference += d * d;
    r->reference += (double)expected * (double)expected;
}

/* NaN compares false with every limit, so an engine that yields NaN must not look exact. */
static double relative_error(const struct relative *r)
{
    double e = sqrt(r->difference) / sqrt(r->reference);
    return isnan(e) ? INFINITY : e;
}

static void report(struct tally *tally, bool pass, const struct fixture *fx,
                   const vlmd_engine *engine, const char *what, const char *detail)
{
    printf("%s %-11s %-8s %-15s %s\n", pass ? "PASS" : "FAIL", fx->name,
           vlmd_engine_info(engine)->isa, what, detail);
    fflush(stdout);
    if (pass)
        tally->passed++;
    else
        tally->failed++;
}

static vlmd_image *encode(vlmd_engine *engine, const json_t *picture)
{
    struct vlmd_error err;
    int32_t width, height;
    uint8_t *rgb = picture_draw(picture, &width, &height);
    vlmd_image *image;

    if (rgb == NULL)
        fatal("a picture of the manifest cannot be drawn");
    image = vlmd_image_encode(engine, rgb, width, height, NULL, NULL, &err);
    if (image == NULL)
        fatal("encoding a picture of %d x %d: %s (%s)", (int)width, (int)height, err.text,
              err.field);
    free(rgb);
    return image;
}

/* ---- vision */

static double features_error(const struct fixture *fx, const json_t *part, const float *features,
                             int32_t width)
{
    int32_t rows = fixture_int(part, "rows"), columns = fixture_int(part, "columns");
    int32_t step = fixture_int(part, "column_step"), shift = fixture_int(part, "row_shift");
    const float *some = fixture_floats(fx, part, "values", (size_t)rows * (size_t)columns);
    struct relative r = {0, 0};
    int32_t n_whole, *whole = fixture_ints(part, "whole_rows", &n_whole);
    const float *full = fixture_floats(fx, part, "whole_values", (size_t)n_whole * (size_t)width);

    for (int32_t i = 0; i < rows; i++)
        for (int32_t k = 0; k < columns; k++) {
            int64_t column = ((int64_t)i * shift + (int64_t)k * step) % width;
            relative_add(&r, features[(int64_t)i * width + column], *some++);
        }
    for (int32_t i = 0; i < n_whole; i++)
        for (int32_t k = 0; k < width; k++)
            relative_add(&r, features[(int64_t)whole[i] * width + k], *full++);
    free(whole);
    return relative_error(&r);
}

static void check_vision(const struct fixture *fx, vlmd_engine *engine, struct tally *tally)
{
    const json_t *parts = fixture_array(fx->manifest, "vision");
    int32_t width = vlmd_engine_info(engine)->hidden_size, rows = 0;
    double worst = 0;
    char detail[160];
    size_t i;
    json_t *part;

    json_array_foreach (parts, i, part) {
        vlmd_image *image = encode(engine, json_object_get(part, "picture"));
        int32_t n = vlmd_image_tokens(image);
        float *features = malloc((size_t)n * (size_t)width * sizeof(*features));

        if (features == NULL)
            fatal("no memory");
        if (n != fixture_int(part, "rows"))
            fatal("%s: picture %zu has %d tokens, not %d", fx->name, i, (int)n,
                  (int)fixture_int(part, "rows"));
        vlmd_image_read(image, features);
        worst = fmax(worst, features_error(fx, part, features, width));
        rows += n;
        free(features);
        vlmd_image_free(image);
    }
    if (i == 0)
        return;
    snprintf(detail, sizeof(detail), "%zu images, %d rows: max relative error %.2e (limit %.0e)", i,
             (int)rows, worst, VISION_LIMIT);
    report(tally, worst <= VISION_LIMIT, fx, engine, "vision", detail);
}

/* ---- one prompt on its session */

struct run {
    const json_t *part;
    vlmd_session *session;
    vlmd_image *images[MAX_IMAGES];
    size_t n_images;
    int32_t *tokens;
    int32_t n_tokens;
    int32_t done; /* tokens stepped */
};

static void run_open(struct run *run, vlmd_engine *engine, const json_t *part)
{
    const json_t *pictures = fixture_array(part, "pictures");
    struct vlmd_error err;
    size_t i;
    json_t *picture;

    memset(run, 0, sizeof(*run));
    run->part = part;
    run->tokens = fixture_ints(part, "tokens", &run->n_tokens);
    if (json_array_size(pictures) > MAX_IMAGES)
        fatal("more than %d pictures in a prompt", MAX_IMAGES);
    json_array_foreach (pictures, i, picture)
        run->images[run->n_images++] = encode(engine, picture);
    run->session = vlmd_session_open(engine, &err);
    if (run->session == NULL)
        fatal("opening a session: %s", err.text);
    if (vlmd_session_append(run->session, run->tokens, run->n_tokens, run->images,
                            (int32_t)run->n_images, &err) != 0)
        fatal("appending a prompt: %s (%s)", err.text, err.field);
}

static void run_close(struct run *run)
{
    vlmd_session_close(run->session);
    for (size_t i = 0; i < run->n_images; i++)
        vlmd_image_free(run->images[i]);
    free(run->tokens);
}

static int32_t smaller(int32_t a, int32_t b)
{
    return a < b ? a : b;
}

/* ---- logits */

struct logits_check {
    const struct fixture *fx;
    vlmd_engine *engine;
    float *rows; /* batch_tokens x vocab_size */
    double worst, sum;
    int32_t positions;
    uint64_t bits; /* the same for the same rows, in whichever order they came */
};

static double row_error(const struct logits_check *check, const json_t *part, int32_t position,
                        int32_t n, const float *row)
{
    int32_t top = fixture_int(part, "top"), stride = fixture_int(part, "stride");
    int32_t strided = fixture_int(part, "strided");
    size_t all = (size_t)n * (size_t)top, at = (size_t)position * (size_t)top;
    const int32_t *ids = fixture_ids(check->fx, part, "top_ids", all) + at;
    const float *values = fixture_floats(check->fx, part, "top_values", all) + at;
    const float *spread =
        fixture_floats(check->fx, part, "strided_values", (size_t)n * (size_t)strided) +
        (size_t)position * (size_t)strided;
    int32_t vocab = vlmd_engine_info(check->engine)->vocab_size;
    struct relative r = {0, 0};

    for (int32_t k = 0; k < top; k++) {
        if (ids[k] < 0 || ids[k] >= vocab)
            fatal("%s: token %d is outside the vocabulary", check->fx->name, (int)ids[k]);
        relative_add(&r, row[ids[k]], values[k]);
    }
    if (stride < 1 || (int64_t)position % stride + (int64_t)(strided - 1) * stride >= vocab)
        fatal("%s: the stride is outside the vocabulary", check->fx->name);
    for (int32_t k = 0; k < strided; k++)
        relative_add(&r, row[position % stride + k * stride], spread[k]);
    return relative_error(&r);
}

/* FNV-1a over what names the row and its floats, word by word. */
static uint64_t row_bits(const json_t *part, int32_t position, const float *row, int32_t n)
{
    uint64_t hash = 0xcbf29ce484222325u ^ (uintptr_t)part;

    hash = (hash ^ (uint64_t)position) * 0x100000001b3u;
    for (int32_t i = 0; i < n; i++) {
        uint32_t word;
        memcpy(&word, row + i, sizeof(word));
        hash = (hash ^ word) * 0x100000001b3u;
    }
    return hash;
}

/* Steps each run by its chunk and compares every row that comes out. Returns false when all are
 * done. */
static bool logits_step(struct logits_check *check, struct run *runs, int n, const int32_t *chunks)
{
    const struct vlmd_engine_info *info = vlmd_engine_info(check->engine);
    struct vlmd_step_item items[MAX_SESSIONS] = {0};
    int owner[MAX_SESSIONS], n_items = 0;
    int32_t room = info->batch_tokens;
    float *out = check->rows;
    struct vlmd_error err;

    for (int i = 0; i < n; i++) {
        int32_t take = smaller(smaller(vlmd_session_pending(runs[i].session), chunks[i]), room);
        if (take == 0)
            continue;
        items[n_items] = (struct vlmd_step_item){runs[i].session, take, NULL, out};
        owner[n_items++] = i;
        out += (size_t)take * (size_t)info->vocab_size;
        room -= take;
    }
    if (n_items == 0)
        return false;
    if (vlmd_step(check->engine, items, n_items, NULL, NULL, &err) != 0)
        fatal("%s: step: %s", check->fx->name, err.text);
    for (int i = 0; i < n_items; i++) {
        struct run *run = &runs[owner[i]];
        for (int32_t k = 0; k < items[i].n_tokens; k++) {
            const float *row = items[i].logits_all + (size_t)k * (size_t)info->vocab_size;
            double e = row_error(check, run->part, run->done, run->n_tokens, row);
            check->bits += row_bits(run->part, run->done++, row, info->vocab_size);
            check->worst = fmax(check->worst, e);
            check->sum += e;
            check->positions++;
        }
    }
    return true;
}

/* All prompts, n_together sessions at a time; session i goes on by chunks[i] tokens a step. Returns
 * what stands for the bits of all logits. */
static uint64_t check_logits(const struct fixture *fx, vlmd_engine *engine, struct tally *tally,
                             const char *what, int n_together, const int32_t *chunks)
{
    const json_t *parts = fixture_array(fx->manifest, "logits");
    const struct vlmd_engine_info *info = vlmd_engine_info(engine);
    struct logits_check check = {.fx = fx, .engine = engine};
    size_t n = json_array_size(parts);
    char detail[160];

    if (n == 0)
        return 0;
    check.rows = malloc((size_t)info->batch_tokens * (size_t)info->vocab_size * sizeof(float));
    if (check.rows == NULL)
        fatal("no memory");
    for (size_t first = 0; first < n; first += (size_t)n_together) {
        struct run runs[MAX_SESSIONS];
        int count = smaller(n_together, (int32_t)(n - first));
        for (int i = 0; i < count; i++)
            run_open(&runs[i], engine, json_array_get(parts, first + (size_t)i));
        while (logits_step(&check, runs, count, chunks))
            continue;
        for (int i = 0; i < count; i++) {
            if (runs[i].done != runs[i].n_tokens)
                fatal("%s: %d of %d tokens were stepped", fx->name, (int)runs[i].done,
                      (int)runs[i].n_tokens);
            run_close(&runs[i]);
        }
    }
    free(check.rows);
    snprintf(detail, sizeof(detail),
             "%zu prompts, %d positions: max relative error %.2e, mean %.2e (limit %.0e)", n,
             (int)check.positions, check.worst, check.sum / check.positions, LOGITS_LIMIT);
    report(tally, check.worst <= LOGITS_LIMIT, fx, engine, what, detail);
    return check.bits;
}

/* ---- greedy text */

struct answer {
    struct run run;
    int32_t *expected;
    int32_t n_expected;
    int32_t *tokens;
    int32_t n_tokens;
    bool ended;
    float *logits;
};

static int32_t best(const float *logits, int32_t n)
{
    int32_t top = 0;
    for (int32_t i = 1; i < n; i++)
        if (logits[i] > logits[top])
            top = i;
    return top;
}

static void answer_take(struct answer *a, vlmd_engine *engine, int32_t limit)
{
    int32_t token = best(a->logits, vlmd_engine_info(engine)->vocab_size);
    struct vlmd_error err;

    a->tokens[a->n_tokens++] = token;
    a->ended = vlmd_token_ends(engine, token) || a->n_tokens == limit;
    if (!a->ended && vlmd_session_append(a->run.session, &token, 1, NULL, 0, &err) != 0)
        fatal("appending a token: %s", err.text);
}

/* Prompts in chunks of 48 and answers token by token share each step, as they do in the server. */
static bool answers_step(struct answer *answers, int n, vlmd_engine *engine, int32_t limit)
{
    struct vlmd_step_item items[MAX_SESSIONS] = {0};
    int owner[MAX_SESSIONS], n_items = 0;
    struct vlmd_error err;

    for (int i = 0; i < n; i++) {
        struct answer *a = &answers[i];
        if (a->ended)
            continue;
        items[n_items] = (struct vlmd_step_item){
            a->run.session, smaller(vlmd_session_pending(a->run.session), 48), a->logits, NULL};
        owner[n_items++] = i;
    }
    if (n_items == 0)
        return false;
    if (vlmd_step(engine, items, n_items, NULL, NULL, &err) != 0)
        fatal("step: %s", err.text);
    for (int i = 0; i < n_items; i++)
        if (vlmd_session_pending(items[i].session) == 0)
            answer_take(&answers[owner[i]], engine, limit);
    return true;
}

static bool text_equals(const vlmd_engine *engine, const int32_t *tokens, int32_t n,
                        const char *expected)
{
    size_t at = 0, length = strlen(expected);

    for (int32_t i = 0; i < n; i++) {
        size_t len;
        const char *bytes = vlmd_token_bytes(engine, tokens[i], &len);
        if (len > length - at || memcmp(bytes, expected + at, len) != 0)
            return false;
        at += len;
    }
    return at == length;
}

/* Answers cut off inside a character are compared by their tokens only: the reference's text then
 * holds U+FFFD. */
static bool answer_is_right(const struct answer *a, const vlmd_engine *engine)
{
    const char *text = fixture_text(a->run.part, "text");

    if (a->n_tokens != a->n_expected ||
        memcmp(a->tokens, a->expected, (size_t)a->n_tokens * sizeof(*a->tokens)) != 0)
        return false;
    return strstr(text, "\xef\xbf\xbd") != NULL ||
           text_equals(engine, a->tokens, a->n_tokens, text);
}

static void answer_open(struct answer *a, vlmd_engine *engine, const json_t *part, int32_t limit)
{
    size_t vocab = (size_t)vlmd_engine_info(engine)->vocab_size;

    memset(a, 0, sizeof(*a));
    run_open(&a->run, engine, part);
    a->expected = fixture_ints(part, "answer", &a->n_expected);
    a->tokens = malloc((size_t)limit * sizeof(*a->tokens));
    a->logits = malloc(vocab * sizeof(*a->logits));
    if (a->tokens == NULL || a->logits == NULL)
        fatal("no memory");
}

static void answer_close(struct answer *a)
{
    run_close(&a->run);
    free(a->expected);
    free(a->tokens);
    free(a->logits);
}

static void check_greedy(const struct fixture *fx, vlmd_engine *engine, struct tally *tally,
                         size_t most)
{
    const json_t *parts = fixture_array(fx->manifest, "greedy");
    int32_t limit = fixture_int(fx->manifest, "answer_limit"), right = 0, tokens = 0;
    size_t n = json_array_size(parts) < most ? json_array_size(parts) : most;
    char detail[160];

    if (n == 0 || limit < 1)
        return;
    for (size_t first = 0; first < n; first += MAX_SESSIONS) {
        struct answer answers[MAX_SESSIONS];
        int count = smaller(MAX_SESSIONS, (int32_t)(n - first));
        for (int i = 0; i < count; i++)
            answer_open(&answers[i], engine, json_array_get(parts, first + (size_t)i), limit);
        while (answers_step(answers, count, engine, limit))
            continue;
        for (int i = 0; i < count; i++) {
            bool ok = answer_is_right(&answers[i], engine);
            if (!ok)
                printf("     %s: answer %zu differs\n", fx->name, first + (size_t)i);
            right += ok;
            tokens += answers[i].n_tokens;
            answer_close(&answers[i]);
        }
    }
    snprintf(detail, sizeof(detail), "%d of %zu answers identical, %d tokens", (int)right, n,
             (int)tokens);
    report(tally, right == (int32_t)n, fx, engine, "greedy", detail);
}

/* ---- one fixture on one instruction set */

static void check_all(const struct fixture *fx, vlmd_engine *engine, struct tally *tally)
{
    const int32_t whole[] = {INT32_MAX}, small[] = {7}, single[] = {1};
    const int32_t ragged[MAX_SESSIONS] = {16, 1, 33, 5};
    uint64_t bits[4];

    check_vision(fx, engine, tally);
    bits[0] = check_logits(fx, engine, tally, "logits whole", 1, whole);
    bits[1] = check_logits(fx, engine, tally, "logits by 7", 1, small);
    bits[2] = check_logits(fx, engine, tally, "logits by 1", 1, single);
    bits[3] = check_logits(fx, engine, tally, "logits ragged", MAX_SESSIONS, ragged);
    report(tally, bits[0] == bits[1] && bits[0] == bits[2] && bits[0] == bits[3], fx, engine,
           "logits bits", "the same whole, by 7, by 1 and ragged");
    check_greedy(fx, engine, tally, SIZE_MAX);
}

/* For slow kernels on larger models: every stage once. */
static void check_quickly(const struct fixture *fx, vlmd_engine *engine, struct tally *tally)
{
    const int32_t chunks[MAX_SESSIONS] = {16, 1, 33, 5};

    check_vision(fx, engine, tally);
    check_logits(fx, engine, tally, "logits ragged", MAX_SESSIONS, chunks);
    check_greedy(fx, engine, tally, QUICK_GREEDY);
}

static vlmd_engine *open_engine(const char *model, const char *isa, const char *activations)
{
    struct vlmd_engine_options options = {
        .isa = isa, .activations = activations, .kv_tokens = KV_TOKENS};
    struct vlmd_error err;
    vlmd_engine *engine = vlmd_engine_open(model, &options, &err);

    if (engine == NULL)
        fatal("opening %s (%s): %s (%s)", model, isa, err.text, err.field);
    return engine;
}

static void check_fixture(const char *folder, const char *model, const char *isa,
                          const char *activations, bool quick, struct tally *tally)
{
    struct fixture fx;
    vlmd_engine *engine;

    fixture_open(&fx, folder);
    engine = open_engine(model != NULL ? model : fixture_text(fx.manifest, "checkpoint"), isa,
                         activations);
    if (quick)
        check_quickly(&fx, engine, tally);
    else
        check_all(&fx, engine, tally);
    vlmd_engine_close(engine);
    fixture_close(&fx);
}

int main(int argc, char **argv)
{
    const char *model = NULL, *isa = "auto", *activations = "float32";
    struct tally tally = {0, 0};
    bool quick = false;
    int i = 1;

    for (; i < argc && argv[i][0] == '-'; i++) {
        bool has_value = i + 1 < argc;
        if (strcmp(argv[i], "--quick") == 0)
            quick = true;
        else if (has_value && strcmp(argv[i], "--model") == 0)
            model = argv[++i];
        else if (has_value && strcmp(argv[i], "--isa") == 0)
            isa = argv[++i];
        else if (has_value && strcmp(argv[i], "--activations") == 0)
            activations = argv[++i];
        else
            fatal("unknown option %s", argv[i]);
    }
    if (i == argc)
        fatal("usage: parity [--isa c|avx2|avxvnni|avx512|amx|amxbf16|neon|dotprod|i8mm] "
              "[--activations "
              "float32|int16] "
              "[--model "
              "FOLDER] "
              "[--quick] FIXTURE...");
    for (; i < argc; i++)
        check_fixture(argv[i], model, isa, activations, quick, &tally);
    printf("%d passed, %d failed\n", tally.passed, tally.failed);
    return tally.failed == 0 && tally.passed > 0 ? 0 : 1;
}
