#include "unit.h"

#include <jansson.h>
#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "engine/sampler.h"

#define CASES "tests/parity/sampler/cases.jsonl"

/* A random stream of the test's own. */
static uint64_t xorshift(uint64_t *state)
{
    *state ^= *state << 13;
    *state ^= *state >> 7;
    *state ^= *state << 17;
    return *state;
}

static float between(uint64_t *state, float low, float high)
{
    return low + (high - low) * (float)(xorshift(state) >> 40) * 0x1p-24f;
}

static vlmd_sampler *make(int32_t vocab, struct vlmd_sampling s)
{
    struct vlmd_error err = {0};
    vlmd_sampler *sampler = sampler_create(vocab, &s, &err);
    assert_non_null(sampler);
    return sampler;
}

/* ---- parameters */

static void refused(struct vlmd_sampling s, const char *field)
{
    struct vlmd_error err = {0};
    assert_int_equal(vlmd_sampling_check(&s, &err), -1);
    assert_int_equal(err.code, VLMD_INVALID);
    assert_string_equal(err.field, field);
    assert_null(sampler_create(8, &s, NULL));
}

static void parameters_out_of_range_are_named(void **state)
{
    (void)state;
    struct vlmd_sampling s = vlmd_sampling_default();
    assert_int_equal(vlmd_sampling_check(&s, NULL), 0);
    struct {
        size_t offset;
        const char *field;
        float bad[3];
    } cases[] = {
        {offsetof(struct vlmd_sampling, temperature), "temperature", {-0.1f, NAN, INFINITY}},
        {offsetof(struct vlmd_sampling, top_p), "top_p", {0, NAN, 1.01f}},
        {offsetof(struct vlmd_sampling, min_p), "min_p", {-0.01f, NAN, 1}},
        {offsetof(struct vlmd_sampling, repetition_penalty), "repetition_penalty", {0, NAN, -1}},
        {offsetof(struct vlmd_sampling, presence_penalty), "presence_penalty", {-2.1f, NAN, 2.1f}},
        {offsetof(struct vlmd_sampling, frequency_penalty), "frequency_penalty", {-3, NAN, 3}},
    };
    for (size_t i = 0; i < sizeof cases / sizeof cases[0]; i++) {
        for (size_t j = 0; j < 3; j++) {
            s = vlmd_sampling_default();
            memcpy((char *)&s + cases[i].offset, &cases[i].bad[j], sizeof(float));
            refused(s, cases[i].field);
        }
    }
    s = vlmd_sampling_default();
    s.top_k = -1;
    refused(s, "top_k");
}

/* ---- against transformers */

static float number(const json_t *object, const char *key)
{
    const json_t *value = json_object_get(object, key);
    assert_true(json_is_number(value));
    return (float)json_number_value(value);
}

static void compare_case(const json_t *line)
{
    const json_t *logits = json_object_get(line, "logits");
    const json_t *probs = json_object_get(line, "probs");
    const json_t *prompt = json_object_get(line, "prompt");
    const json_t *answer = json_object_get(line, "answer");
    int32_t n = (int32_t)json_array_size(logits);
    vlmd_sampler *sampler = make(n, (struct vlmd_sampling){
                                        .temperature = number(line, "temperature"),
                                        .top_p = number(line, "top_p"),
                                        .top_k = (int32_t)number(line, "top_k"),
                                        .min_p = number(line, "min_p"),
                                        .repetition_penalty = number(line, "repetition_penalty"),
                                        .presence_penalty = number(line, "presence_penalty"),
                                        .frequency_penalty = number(line, "frequency_penalty"),
                                    });
    float *weights = calloc((size_t)n, sizeof *weights);
    for (size_t i = 0; i < json_array_size(prompt); i++) {
        int32_t token = (int32_t)json_integer_value(json_array_get(prompt, i));
        vlmd_sampler_prompt(sampler, &token, 1);
    }
    for (size_t i = 0; i < json_array_size(answer); i++) { /* answers are what was drawn */
        int32_t token = (int32_t)json_integer_value(json_array_get(answer, i));
        for (int32_t j = 0; j < n; j++)
            weights[j] = j == token ? 1e30f : -INFINITY;
        assert_int_equal(vlmd_sampler_next(sampler, weights), token);
    }
    for (int32_t i = 0; i < n; i++)
        weights[i] = (float)json_number_value(json_array_get(logits, (size_t)i));
    double total = sampler_weights(sampler, weights);
    for (int32_t i = 0; i < n; i++) {
        double wanted = json_number_value(json_array_get(probs, (size_t)i));
        double got = (double)weights[i] / total;
        assert_int_equal(got > 0, wanted > 1e-19);
        assert_true(fabs(got - wanted) <= 3e-6 * wanted + 1e-12);
    }
    free(weights);
    vlmd_sampler_close(sampler);
}

static void weights_are_those_of_transformers(void **state)
{
    (void)state;
    FILE *file = fopen(CASES, "r");
    assert_non_null(file);
    char *text = NULL;
    size_t cap = 0;
    int cases = 0;
    while (getline(&text, &cap, file) > 0) {
        json_t *line = json_loads(text, 0, NULL);
        assert_non_null(line);
        compare_case(line);
        json_decref(line);
        cases++;
    }
    assert_true(cases >= 100);
    free(text);
    fclose(file);
}

/* ---- against a plain version with a full sort */

static const float *sort_by;

static int by_weight(const void *a, const void *b)
{
    int32_t x = *(const int32_t *)a, y = *(const int32_t *)b;
    if (sort_by[x] != sort_by[y])
        return sort_by[x] < sort_by[y] ? 1 : -1;
    return (x > y) - (x < y);
}

/* What top_k and top_p leave of weights, by sorting all of them. */
static void plain_cut(float *weights, int32_t n, int32_t top_k, float top_p)
{
    int32_t *order = calloc((size_t)n, sizeof *order);
    for (int32_t i = 0; i < n; i++)
        order[i] = i;
    sort_by = weights;
    qsort(order, (size_t)n, sizeof *order, by_weight);
    int32_t kept = n;
    if (top_k > 0 && top_k < n) {
        kept = top_k;
        while (kept < n && weights[order[kept]] == weights[order[top_k - 1]])
            kept++;
    }
    double total = 0, sum = 0;
    for (int32_t i = 0; i < kept; i++)
        total += (double)weights[order[i]];
    int32_t likely = 0;
    while (top_p < 1 && likely < kept && sum < (double)top_p * total)
        sum += (double)weights[order[likely++]];
    for (int32_t i = top_p < 1 ? likely : kept; i < n; i++)
        weights[order[i]] = 0;
    free(order);
}

static void cuts_equal_a_full_sort(void **state)
{
    (void)state;
    uint64_t random = 12345;
    for (int round = 0; round < 400; round++) {
        int32_t n = 1 + (int32_t)(xorshift(&random) % 300);
        struct vlmd_sampling s = vlmd_sampling_default();
        s.top_k = (int32_t)(xorshift(&random) % 3 ? 0 : xorshift(&random) % 320);
        s.top_p = xorshift(&random) % 3 ? between(&random, 0.01f, 1) : 1;
        float *cut = calloc((size_t)n, sizeof *cut), *plain = calloc((size_t)n, sizeof *plain);
        for (int32_t i = 0; i < n; i++) {
            cut[i] = between(&random, -8, 8);
            if (round % 2)
                cut[i] = rintf(cut[i]); /* many equals */
            plain[i] = cut[i];
        }
        vlmd_sampler *sampler = make(n, s), *uncut = make(n, vlmd_sampling_default());
        double total = sampler_weights(sampler, cut);
        sampler_weights(uncut, plain);
        plain_cut(plain, n, s.top_k, s.top_p);
        double sum = 0;
        int different = 0;
        for (int32_t i = 0; i < n; i++) {
            different += cut[i] != plain[i];
            sum += (double)cut[i];
        }
        /* a sum in another order may fall on the other side of top_p: one token, then */
        assert_true(different <= (s.top_p < 1 ? 1 : 0));
        assert_true(fabs(total - sum) <= 1e-9 * sum);
        vlmd_sampler_close(sampler);
        vlmd_sampler_close(uncut);
        free(cut);
        free(plain);
    }
}

/* ---- draws */

static void frequencies_are_the_probabilities(void **state)
{
    (void)state;
    enum {
        N = 12,
        DRAWS = 200000
    };
    const float logits[N] = {0, 1, 2, 3, -1, -2, 0.5f, 1.5f, -30, 2.5f, -INFINITY, 1};
    struct vlmd_sampling s = vlmd_sampling_default();
    s.seed = 99;
    vlmd_sampler *sampler = make(N, s);
    float weights[N];
    memcpy(weights, logits, sizeof weights);
    double total = sampler_weights(sampler, weights);
    int counts[N] = {0};
    for (int i = 0; i < DRAWS; i++) {
        float copy[N];
        memcpy(copy, logits, sizeof copy);
        int32_t token = vlmd_sampler_next(sampler, copy);
        assert_in_range(token, 0, N - 1);
        counts[token]++;
    }
    double chi2 = 0;
    for (int i = 0; i < N; i++) {
        double expected = DRAWS * (double)weights[i] / total;
        if (expected < 5)
            assert_true(counts[i] < 20);
        else
            chi2 += (counts[i] - expected) * (counts[i] - expected) / expected;
    }
    assert_true(chi2 < 29.6); /* 9 degrees of freedom, p = 0.0005 */
    vlmd_sampler_close(sampler);
}

/* Seeds 0, 1, 2, ... must be independent: their first draws are as uniform as one seed's many. */
static void neighbouring_seeds_are_independent(void **state)
{
    (void)state;
    enum {
        N = 16,
        SEEDS = 16000
    };
    int counts[N] = {0}, repeats = 0;
    int32_t before = -1;
    for (int i = 0; i < SEEDS; i++) {
        struct vlmd_sampling s = vlmd_sampling_default();
        s.seed = (uint64_t)i;
        vlmd_sampler *sampler = make(N, s);
        float logits[N] = {0};
        int32_t token = vlmd_sampler_next(sampler, logits);
        counts[token]++;
        repeats += token == before;
        before = token;
        vlmd_sampler_close(sampler);
    }
    double chi2 = 0;
    for (int i = 0; i < N; i++)
        chi2 += (counts[i] - SEEDS / N) * (double)(counts[i] - SEEDS / N) / (SEEDS / N);
    assert_true(chi2 < 39.7); /* 15 degrees of freedom, p = 0.0005 */
    assert_in_range(repeats, 850, 1150);
}

/* The stream is part of the contract: the same seed gives the same answer on every platform. */
static void a_seed_gives_these_tokens(void **state)
{
    (void)state;
    static const int32_t wanted[] = {669, 946, 37, 210, 311, 172, 771, 870, 712, 196, 159, 522};
    struct vlmd_sampling s = {
        .temperature = 0.8f, .top_p = 0.95f, .top_k = 40, .repetition_penalty = 1.1f, .seed = 1};
    vlmd_sampler *sampler = make(1000, s);
    uint64_t random = 7;
    for (size_t i = 0; i < sizeof wanted / sizeof wanted[0]; i++) {
        float logits[1000];
        for (int j = 0; j < 1000; j++)
            logits[j] = between(&random, -4, 4);
        int32_t token = vlmd_sampler_next(sampler, logits);
        if (token != wanted[i])
            printf("draw %zu is %d\n", i, token);
        assert_int_equal(token, wanted[i]);
    }
    vlmd_sampler_close(sampler);
}

static void greedy_takes_the_lowest_id_of_equals(void **state)
{
    (void)state;
    struct vlmd_sampling s = vlmd_sampling_default();
    s.temperature = 0;
    s.top_k = 2;
    vlmd_sampler *sampler = make(5, s);
    for (int i = 0; i < 3; i++) {
        float logits[5] = {1, 3, NAN, 3, -INFINITY};
        assert_int_equal(vlmd_sampler_next(sampler, logits), 1);
    }
    vlmd_sampler_close(sampler);
}

static void penalties_follow_the_answer(void **state)
{
    (void)state;
    struct vlmd_sampling s = vlmd_sampling_default();
    s.temperature = 0;
    s.frequency_penalty = 1;
    vlmd_sampler *sampler = make(3, s);
    const int32_t wanted[] = {0, 0, 1, 0, 1, 2}; /* less one for each time taken */
    for (int i = 0; i < 6; i++) {
        float logits[3] = {3.5f, 2.25f, 0.625f};
        assert_int_equal(vlmd_sampler_next(sampler, logits), wanted[i]);
    }
    vlmd_sampler_close(sampler);
}

static void odd_logits_are_defined(void **state)
{
    (void)state;
    static const float temperatures[] = {0, 1e-30f, 1, 1e30f};
    for (size_t i = 0; i < 4; i++) {
        struct vlmd_sampling s = vlmd_sampling_default();
        s.temperature = temperatures[i];
        s.top_p = 0.9f;
        s.min_p = 0.1f;
        s.repetition_penalty = 1e-30f;
        s.presence_penalty = 1;
        vlmd_sampler *sampler = make(4, s);
        int32_t prompt[] = {-1, 4, INT32_MAX, INT32_MIN, 2};
        vlmd_sampler_prompt(sampler, prompt, 5);
        float nothing[4] = {NAN, -INFINITY, NAN, -INFINITY};
        assert_int_equal(vlmd_sampler_next(sampler, nothing), -1);
        float one[4] = {NAN, INFINITY, -INFINITY, 3e38f};
        int32_t token = vlmd_sampler_next(sampler, one);
        assert_true(token == 1 || (token == 3 && i == 3));
        float huge[4] = {3e38f, -3e38f, 3e38f, -INFINITY};
        token = vlmd_sampler_next(sampler, huge);
        assert_in_range(token, 0, 2);
        vlmd_sampler_close(sampler);
    }
}

static void exponential_is_exact_enough(void **state)
{
    (void)state;
    uint64_t random = 3;
    assert_true(sampler_exp(0) == 1);
    assert_true(sampler_exp(-1000) == 0);
    for (int i = 0; i < 200000; i++) {
        double x = -700.0 * (double)(xorshift(&random) >> 11) * 0x1p-53;
        if (i % 2)
            x /= 100;
        double wanted = exp(x);
        assert_true(fabs(sampler_exp(x) - wanted) <= 5e-16 * wanted);
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(parameters_out_of_range_are_named),
        cmocka_unit_test(weights_are_those_of_transformers),
        cmocka_unit_test(cuts_equal_a_full_sort),
        cmocka_unit_test(frequencies_are_the_probabilities),
        cmocka_unit_test(neighbouring_seeds_are_independent),
        cmocka_unit_test(a_seed_gives_these_tokens),
        cmocka_unit_test(greedy_takes_the_lowest_id_of_equals),
        cmocka_unit_test(penalties_follow_the_answer),
        cmocka_unit_test(odd_logits_are_defined),
        cmocka_unit_test(exponential_is_exact_enough),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
