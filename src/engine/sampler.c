#include "engine/sampler.h"

#include <float.h>
#include <math.h>
#include <stdlib.h>
#include <string.h>

#include "base/err.h"
#include "engine/engine_internal.h"

/* Tokens less likely than the best by more than 2^64 are never drawn: the random number has 53
 * bits. */
#define NEGLIGIBLE (-44.3614195558365)

struct vlmd_sampler {
    struct vlmd_sampling s;
    int32_t vocab_size;
    uint64_t state;  /* of the random stream */
    int32_t *answer; /* [vocab_size] times in the answer; NULL when no penalty needs it */
    uint8_t *seen;   /* [vocab_size] in prompt or answer; NULL without repetition_penalty */
    int32_t *order;  /* [vocab_size] a heap of token ids; NULL without top_k and top_p */
};

/* ---- parameters */

struct vlmd_sampling vlmd_sampling_default(void)
{
    return (struct vlmd_sampling){.temperature = 1, .top_p = 1, .repetition_penalty = 1};
}

static int out_of_range(struct vlmd_error *err, const char *field, const char *range, double value)
{
    return err_set(err, VLMD_INVALID, field, "%s must be %s, not %g", field, range, value);
}

/* Written so that NaN is refused, too. */
int vlmd_sampling_check(const struct vlmd_sampling *s, struct vlmd_error *err)
{
    if (!(s->temperature >= 0 && s->temperature <= FLT_MAX))
        return out_of_range(err, "temperature", "0 or more", s->temperature);
    if (!(s->top_p > 0 && s->top_p <= 1))
        return out_of_range(err, "top_p", "above 0 and at most 1", s->top_p);
    if (s->top_k < 0)
        return out_of_range(err, "top_k", "0 or more", s->top_k);
    if (!(s->min_p >= 0 && s->min_p < 1))
        return out_of_range(err, "min_p", "at least 0 and below 1", s->min_p);
    if (!(s->repetition_penalty > 0 && s->repetition_penalty <= FLT_MAX))
        return out_of_range(err, "repetition_penalty", "above 0", s->repetition_penalty);
    if (!(s->presence_penalty >= -2 && s->presence_penalty <= 2))
        return out_of_range(err, "presence_penalty", "between -2 and 2", s->presence_penalty);
    if (!(s->frequency_penalty >= -2 && s->frequency_penalty <= 2))
        return out_of_range(err, "frequency_penalty", "between -2 and 2", s->frequency_penalty);
    return 0;
}

/* ---- opening */

/* SplitMix64 (Steele, Lea, Flood 2014): a counter and a mixing function. */
static uint64_t mix(uint64_t z)
{
    z = (z ^ z >> 30) * 0xBF58476D1CE4E5B9u;
    z = (z ^ z >> 27) * 0x94D049BB133111EBu;
    return z ^ z >> 31;
}

static double next_uniform(vlmd_sampler *sampler)
{
    sampler->state += 0x9E3779B97F4A7C15u;
    return (double)(mix(sampler->state) >> 11) * 0x1p-53;
}

vlmd_sampler *sampler_create(int32_t vocab_size, const struct vlmd_sampling *s,
                             struct vlmd_error *err)
{
    if (vlmd_sampling_check(s, err) < 0)
        return NULL;
    if (vocab_size < 1) {
        err_set(err, VLMD_INVALID, "vocab_size", "a vocabulary of %d tokens", vocab_size);
        return NULL;
    }
    vlmd_sampler *sampler = calloc(1, sizeof *sampler);
    if (!sampler) {
        err_no_memory(err, sizeof *sampler);
        return NULL;
    }
    /* neighbouring seeds must not be neighbouring counters */
    *sampler = (vlmd_sampler){.s = *s, .vocab_size = vocab_size, .state = mix(~s->seed)};
    bool counts = s->presence_penalty != 0 || s->frequency_penalty != 0;
    bool repeats = s->repetition_penalty != 1;
    bool cuts = s->top_k > 0 || s->top_p < 1;
    size_t n = (size_t)vocab_size;
    sampler->answer = counts ? calloc(n, sizeof *sampler->answer) : NULL;
    sampler->seen = repeats ? calloc(n, sizeof *sampler->seen) : NULL;
    sampler->order = cuts ? malloc(n * sizeof *sampler->order) : NULL;
    if ((counts && !sampler->answer) || (repeats && !sampler->seen) || (cuts && !sampler->order)) {
        err_no_memory(err, n * sizeof *sampler->order);
        vlmd_sampler_close(sampler);
        return NULL;
    }
    return sampler;
}

vlmd_sampler *vlmd_sampler_open(const vlmd_engine *engine, const struct vlmd_sampling *s,
                                struct vlmd_error *err)
{
    return sampler_create(engine->info.vocab_size, s, err);
}

void vlmd_sampler_close(vlmd_sampler *sampler)
{
    if (!sampler)
        return;
    free(sampler->answer);
    free(sampler->seen);
    free(sampler->order);
    free(sampler);
}

void vlmd_sampler_prompt(vlmd_sampler *sampler, const int32_t *tokens, int32_t n)
{
    for (int32_t i = 0; sampler->seen && i < n; i++) {
        if (tokens[i] >= 0 && tokens[i] < sampler->vocab_size)
            sampler->seen[tokens[i]] = 1;
    }
}

static void record(vlmd_sampler *sampler, int32_t token)
{
    if (sampler->seen)
        sampler->seen[token] = 1;
    if (sampler->answer && sampler->answer[token] < INT32_MAX)
        sampler->answer[token]++;
}

/* ---- logits to weights */

/* NaN counts as impossible, plus infinity as the largest number, so that what follows is ordinary.
 */
static void tame(float *logits, int32_t n)
{
    for (int32_t i = 0; i < n; i++) {
        if (isnan(logits[i]))
            logits[i] = -INFINITY;
        else if (logits[i] > FLT_MAX)
            logits[i] = FLT_MAX;
    }
}

static void penalize(const vlmd_sampler *sampler, float *logits)
{
    const struct vlmd_sampling *s = &sampler->s;
    for (int32_t i = 0; sampler->seen && i < sampler->vocab_size; i++) {
        if (sampler->seen[i])
            logits[i] = logits[i] > 0 ? logits[i] / s->repetition_penalty
                                      : logits[i] * s->repetition_penalty;
    }
    for (int32_t i = 0; sampler->answer && i < sampler->vocab_size; i++) {
        if (sampler->answer[i])
            logits[i] -= s->frequency_penalty * (float)sampler->answer[i] + s->presence_penalty;
    }
}

/* The largest logit, the lowest id of equals; -1 when all are minus infinity. */
static int32_t largest(const float *logits, int32_t n)
{
    int32_t best = -1;
    float value = -INFINITY;
    for (int32_t i = 0; i < n; i++) {
        if (logits[i] > value) {
            value = logits[i];
            best = i;
        }
    }
    return best;
}

double sampler_exp(double x)
{
    if (x < -700)
        return 0;
    /* x = k ln 2 + r with |r| <= ln 2 / 2; ln 2 in two parts, the first with trailing zeros, so
     * that k times it is exact */
    double shifted = x * 1.4426950408889634 + 0x1.8p52;
    double k = shifted - 0x1.8p52;
    double r = (x - k * 0x1.62e42feep-1) - k * 0x1.a39ef35793c76p-33;
    /* Taylor's series to r^13 / 13!; its remainder is below 2^-57 */
    static const double terms[] = {1.0 / 6227020800, 1.0 / 479001600, 1.0 / 39916800, 1.0 / 3628800,
                                   1.0 / 362880,     1.0 / 40320,     1.0 / 5040,     1.0 / 720,
                                   1.0 / 120,        1.0 / 24,        1.0 / 6,        0.5};
    double sum = terms[0];
    for (size_t i = 1; i < sizeof terms / sizeof terms[0]; i++)
        sum = sum * r + terms[i];
    sum = (sum * r + 1) * r + 1;
    uint64_t bits = (uint64_t)((int64_t)k + 1023) << 52;
    double power;
    memcpy(&power, &bits, sizeof power);
    return sum * power;
}

/* exp((logit - max) / temperature), rounded to float; the largest is 1. Returns their sum. */
static double weigh(float *logits, int32_t n, float max, double temperature)
{
    double total = 0;
    for (int32_t i = 0; i < n; i++) {
        double x = ((double)logits[i] - (double)max) / temperature;
        logits[i] = x < NEGLIGIBLE ? 0 : (float)sampler_exp(x);
        total += (double)logits[i];
    }
    return total;
}

/* ---- top_k, top_p: the likeliest tokens come off a heap, so the rest is never sorted */

static bool comes_first(const float *weights, int32_t a, int32_t b)
{
    return weights[a] > weights[b] || (weights[a] == weights[b] && a < b);
}

static void sift_down(int32_t *heap, int32_t len, int32_t i, const float *weights)
{
    int32_t moved = heap[i];
    while (i < len / 2) {
        int32_t child = 2 * i + 1;
        if (child + 1 < len && comes_first(weights, heap[child + 1], heap[child]))
            child++;
        if (!comes_first(weights, heap[child], moved))
            break;
        heap[i] = heap[child];
        i = child;
    }
    heap[i] = moved;
}

static int32_t make_heap(int32_t *heap, const float *weights, int32_t n)
{
    int32_t len = 0;
    for (int32_t i = 0; i < n; i++) {
        if (weights[i] > 0)
            heap[len++] = i;
    }
    for (int32_t i = len / 2; i-- > 0;)
        sift_down(heap, len, i, weights);
    return len;
}

/* Moves the first token behind the heap's end, so that those taken stand there in reverse order. */
static int32_t take_first(int32_t *heap, int32_t *len, const float *weights)
{
    int32_t first = heap[0];
    int32_t last = heap[--*len];
    heap[*len] = first;
    if (*len) {
        heap[0] = last;
        sift_down(heap, *len, 0, weights);
    }
    return first;
}

/* Takes the k likeliest and those as likely as the k-th. Returns their sum. */
static double take_top_k(int32_t *heap, int32_t *len, const float *weights, int32_t k)
{
    double sum = 0;
    float last = 0;
    for (int32_t taken = 0; *len > 0 && (taken < k || weights[heap[0]] == last); taken++) {
        last = weights[take_first(heap, len, weights)];
        sum += (double)last;
    }
    return sum;
}

/* Zeroes what top_k and top_p cut off; returns the new sum. */
static double cut(vlmd_sampler *sampler, float *weights, double total)
{
    const struct vlmd_sampling *s = &sampler->s;
    int32_t *heap = sampler->order;
    int32_t len = make_heap(heap, weights, sampler->vocab_size);
    int32_t all = len;
    int32_t kept = 0; /* heap[all - kept, all) stay */
    if (s->top_k > 0) {
        total = take_top_k(heap, &len, weights, s->top_k);
        kept = all - len;
    }
    if (s->top_p < 1) {
        double wanted = (double)s->top_p * total;
        double sum = 0;
        int32_t candidates = kept; /* with top_k they are taken already */
        kept = 0;
        while (sum < wanted && (s->top_k > 0 ? kept < candidates : len > 0)) {
            int32_t token = s->top_k > 0 ? heap[all - 1 - kept] : take_first(heap, &len, weights);
            sum += (double)weights[token];
            kept++;
        }
        total = sum;
    }
    for (int32_t i = 0; i < all - kept; i++)
        weights[heap[i]] = 0;
    return total;
}

static double cut_min_p(float *weights, int32_t n, float min_p)
{
    double total = 0;
    for (int32_t i = 0; i < n; i++) {
        if (weights[i] < min_p) /* the largest weight is 1 */
            weights[i] = 0;
        total += (double)weights[i];
    }
    return total;
}

double sampler_weights(vlmd_sampler *sampler, float *logits)
{
    const struct vlmd_sampling *s = &sampler->s;
    int32_t n = sampler->vocab_size;
    tame(logits, n);
    penalize(sampler, logits);
    tame(logits, n);
    int32_t best = largest(logits, n);
    if (best < 0)
        return 0;
    if (s->temperature == 0) {
        memset(logits, 0, (size_t)n * sizeof *logits);
        logits[best] = 1;
        return 1;
    }
    double total = weigh(logits, n, logits[best], (double)s->temperature);
    if (sampler->order)
        total = cut(sampler, logits, total);
    if (s->min_p > 0)
        total = cut_min_p(logits, n, s->min_p);
    return total;
}

static int32_t draw(const float *weights, int32_t n, double point)
{
    int32_t last = 0;
    for (int32_t i = 0; i < n; i++) {
        if (weights[i] <= 0)
            continue;
        last = i;
        point -= (double)weights[i];
        if (point < 0)
            break;
    }
    return last; /* rounding may leave a remainder: the last possible token */
}

int32_t vlmd_sampler_next(vlmd_sampler *sampler, float *logits)
{
    double total = sampler_weights(sampler, logits);
    if (!(total > 0))
        return -1;
    double point = sampler->s.temperature == 0 ? 0 : next_uniform(sampler) * total;
    int32_t token = draw(logits, sampler->vocab_size, point);
    record(sampler, token);
    return token;
}
