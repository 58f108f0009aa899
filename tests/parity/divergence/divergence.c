/* How far the engine's faster arithmetic is from float32: every prompt of the fixtures, with its
 * answer where there is one, goes through two engines of the same checkpoint, and the logits of
 * every position are compared. One line a fixture; the last line counts.
 *
 *   divergence [--isa NAME] [--activations NAME] [--model FOLDER] [--report] FIXTURE...
 *
 * --report prints without judging. */
#include <math.h>
#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "parity/engine/fixture.h"
#include "parity/engine/picture.h"
#include "vlmd.h"

#define KL_LIMIT   1e-3
#define TOP1_LIMIT 0.995
#define MAX_IMAGES 8
#define KV_TOKENS  2048
#define CHUNK      32

enum side {
    EXACT,
    FAST,
    N_SIDES
};

struct comparison {
    vlmd_engine *engines[N_SIDES];
    float *logits[N_SIDES]; /* CHUNK x vocab_size */
    double kl, worst_kl, error, worst_error;
    int64_t positions, same_best;
};

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
        fatal("encoding a picture: %s (%s)", err.text, err.field);
    free(rgb);
    return image;
}

/* One prompt on one engine. */
struct run {
    vlmd_session *session;
    vlmd_image *images[MAX_IMAGES]; /* the session borrows them */
    int32_t n_images;
};

static void append(struct run *run, const json_t *part, const char *key, int32_t n_images)
{
    int32_t n_tokens, *tokens = fixture_ints(part, key, &n_tokens);
    struct vlmd_error err;

    if (vlmd_session_append(run->session, tokens, n_tokens, run->images, n_images, &err) != 0)
        fatal("appending a prompt: %s (%s)", err.text, err.field);
    free(tokens);
}

static void run_open(struct run *run, vlmd_engine *engine, const json_t *part)
{
    const json_t *pictures = fixture_array(part, "pictures");
    struct vlmd_error err;
    size_t i;
    json_t *picture;

    *run = (struct run){.session = vlmd_session_open(engine, &err)};
    if (run->session == NULL)
        fatal("opening a session: %s", err.text);
    if (json_array_size(pictures) > MAX_IMAGES)
        fatal("more than %d pictures in a prompt", MAX_IMAGES);
    json_array_foreach (pictures, i, picture)
        run->images[run->n_images++] = encode(engine, picture);
    append(run, part, "tokens", run->n_images);
    if (json_object_get(part, "answer") != NULL)
        append(run, part, "answer", 0);
}

static void run_close(struct run *run)
{
    vlmd_session_close(run->session);
    while (run->n_images > 0)
        vlmd_image_free(run->images[--run->n_images]);
}

static int32_t best(const float *logits, int32_t n)
{
    int32_t top = 0;
    for (int32_t i = 1; i < n; i++)
        if (logits[i] > logits[top])
            top = i;
    return top;
}

static double log_sum(const float *logits, int32_t n)
{
    double greatest = logits[best(logits, n)], sum = 0;
    for (int32_t i = 0; i < n; i++)
        sum += exp(logits[i] - greatest);
    return greatest + log(sum);
}

static void compare_row(struct comparison *c, const float *exact, const float *fast, int32_t n)
{
    double exact_sum = log_sum(exact, n), fast_sum = log_sum(fast, n);
    double kl = 0, difference = 0, reference = 0;

    for (int32_t i = 0; i < n; i++) {
        double log_p = exact[i] - exact_sum, log_q = fast[i] - fast_sum;
        double d = (double)fast[i] - (double)exact[i];
        kl += exp(log_p) * (log_p - log_q);
        difference += d * d;
        reference += (double)exact[i] * (double)exact[i];
    }
    double error = sqrt(difference / reference);
    if (isnan(kl) || isnan(error))
        kl = error = INFINITY;
    c->kl += kl;
    c->worst_kl = fmax(c->worst_kl, kl);
    c->error += error;
    c->worst_error = fmax(c->worst_error, error);
    c->same_best += best(exact, n) == best(fast, n);
    c->positions++;
}

static void step(const struct comparison *c, enum side side, vlmd_session *session, int32_t n)
{
    struct vlmd_step_item item = {session, n, NULL, c->logits[side]};
    struct vlmd_error err;

    if (vlmd_step(c->engines[side], &item, 1, NULL, NULL, &err) != 0)
        fatal("step: %s", err.text);
}

static void compare_part(struct comparison *c, const json_t *part)
{
    int32_t vocab = vlmd_engine_info(c->engines[EXACT])->vocab_size, pending;
    struct run runs[N_SIDES];

    for (int side = 0; side < N_SIDES; side++)
        run_open(&runs[side], c->engines[side], part);
    while ((pending = vlmd_session_pending(runs[EXACT].session)) > 0) {
        int32_t n = pending < CHUNK ? pending : CHUNK;
        for (int side = 0; side < N_SIDES; side++)
            step(c, (enum side)side, runs[side].session, n);
        for (int32_t i = 0; i < n; i++)
            compare_row(c, c->logits[EXACT] + (size_t)i * (size_t)vocab,
                        c->logits[FAST] + (size_t)i * (size_t)vocab, vocab);
    }
    for (int side = 0; side < N_SIDES; side++)
        run_close(&runs[side]);
}

static void open_side(struct comparison *c, enum side side, const char *model, const char *isa,
                      const char *activations)
{
    struct vlmd_engine_options options = {
        .isa = isa, .activations = activations, .kv_tokens = KV_TOKENS, .batch_tokens = CHUNK};
    struct vlmd_error err;

    c->engines[side] = vlmd_engine_open(model, &options, &err);
    if (c->engines[side] == NULL)
        fatal("opening %s: %s (%s)", model, err.text, err.field);
    c->logits[side] =
        malloc((size_t)CHUNK * (size_t)vlmd_engine_info(c->engines[side])->vocab_size * 4);
    if (c->logits[side] == NULL)
        fatal("no memory");
}

static void compare_parts(struct comparison *c, const json_t *parts)
{
    size_t i;
    json_t *part;

    json_array_foreach (parts, i, part)
        compare_part(c, part);
}

/* Returns whether both limits are kept. */
static bool compare_fixture(const char *folder, const char *model, const char *isa,
                            const char *activations, bool judge)
{
    struct comparison c = {0};
    struct fixture fx;

    fixture_open(&fx, folder);
    if (model == NULL)
        model = fixture_text(fx.manifest, "checkpoint");
    open_side(&c, EXACT, model, isa, "float32");
    open_side(&c, FAST, model, isa, activations);
    compare_parts(&c, fixture_array(fx.manifest, "logits"));
    compare_parts(&c, fixture_array(fx.manifest, "greedy"));
    if (c.positions == 0)
        fatal("%s has no prompts", folder);
    double n = (double)c.positions, kl = c.kl / n, same = (double)c.same_best / n;
    bool good = kl <= KL_LIMIT && same >= TOP1_LIMIT;
    printf("%s %-11s %s %s: %lld positions, KL mean %.2e worst %.2e, best token the same at %.2f "
           "%%, relative error mean %.2e worst %.2e\n",
           good ? "PASS" : (judge ? "FAIL" : "over"), fx.name,
           vlmd_engine_info(c.engines[FAST])->isa, activations, (long long)c.positions, kl,
           c.worst_kl, 100 * same, c.error / n, c.worst_error);
    fflush(stdout);
    for (int side = 0; side < N_SIDES; side++) {
        vlmd_engine_close(c.engines[side]);
        free(c.logits[side]);
    }
    fixture_close(&fx);
    return good;
}

int main(int argc, char **argv)
{
    const char *model = NULL, *isa = "auto", *activations = "auto";
    int passed = 0, failed = 0, i = 1;
    bool judge = true;

    for (; i < argc && argv[i][0] == '-'; i++) {
        bool has_value = i + 1 < argc;
        if (strcmp(argv[i], "--report") == 0)
            judge = false;
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
        fatal("usage: divergence [--isa NAME] [--activations NAME] [--model FOLDER] [--report] "
              "FIXTURE...");
    for (; i < argc; i++) {
        bool good = compare_fixture(argv[i], model, isa, activations, judge);
        passed += good || !judge;
        failed += !good && judge;
    }
    printf("%d passed, %d failed\n", passed, failed);
    return failed == 0 ? 0 : 1;
}
