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

/* Weights are 2^-64 to 1; a bucket holds those with the same exponent and the same 5 bits below it.
 */
#define BUCKET_SHIFT  18
#define LOWEST_BUCKET ((127 - 64) << (23 - BUCKET_SHIFT))
#define N_BUCKETS     ((64 << (23 - BUCKET_SHIFT)) + 1)

struct bucket {
    double sum;
    int32_t count;
};

/* Scratch memory of top_k and top_p. */
struct cutter {
    struct bucket buckets[N_BUCKETS];
    int32_t heap[]; /* [vocab_size] tokens of one bucket */
};

struct vlmd_sampler {
    struct vlmd_sampling s;
    int32_t vocab_size;
    uint64_t state;        /* of the random stream */
    int32_t *answer;       /* [vocab_size] times in the answer; NULL when no penalty needs it */
    uint8_t *seen;         /* [vocab_size] in prompt or answer; NULL without repetition_penalty */
    struct cutter *cutter; /* NULL without top_k and top_p */
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
    sampler->cutter =
        cuts ? malloc(sizeof *sampler->cutter + n * sizeof sampler->cutter->heap[0]) : NULL;
    if ((counts && !sampler->answer) || (repeats && !sampler->seen) || (cuts && !sampler->cutter)) {
        err_no_memory(err, n * sizeof sampler->cutter->heap[0]);
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
    free(sampler->cutter);
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

/* Plus infinity becomes the largest number, so that differences are defined. */
static void tame(float *logits, int32_t n)
{
    for (int32_t i = 0; i < n; i++) {
        if (logits[i] > FLT_MAX)
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

/* The largest logit, the lowest id of equals; -1 when all are minus infinity or no numbers. */
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

/* exp((logit - max) / temperature), rounded to float; the largest is 1. What is not a number is
 * impossible. Returns the sum. */
static double weigh(float *logits, int32_t n, float max, double temperature)
{
    double total = 0;
    for (int32_t i = 0; i < n; i++) {
        double x = ((double)logits[i] - (double)max) / temperature;
        logits[i] = x >= NEGLIGIBLE ? (float)sampler_exp(x) : 0;
        total += (double)logits[i];
    }
    return total;
}

/* ---- top_k, top_p: only tokens next to the cut are put in order */

static int32_t bucket_of(float weight)
{
    uint32_t bits;
    memcpy(&bits, &weight, sizeof bits);
    int32_t bucket = (int32_t)(bits >> BUCKET_SHIFT) - LOWEST_BUCKET;
    return bucket > 0 ? bucket : 0;
}

static void fill_buckets(struct cutter *c, const float *weights, int32_t n)
{
    memset(c->buckets, 0, sizeof c->buckets);
    for (int32_t i = 0; i < n; i++) {
        if (weights[i] <= 0)
            continue;
        struct bucket *bucket = &c->buckets[bucket_of(weights[i])];
        bucket->sum += (double)weights[i];
        bucket->count++;
    }
}

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

/* Makes a heap of the tokens in one bucket; returns its length. */
static int32_t gather(struct cutter *c, const float *weights, int32_t n, int32_t bucket)
{
    int32_t len = 0;
    for (int32_t i = 0; i < n; i++) {
        if (weights[i] > 0 && bucket_of(weights[i]) == bucket)
            c->heap[len++] = i;
    }
    for (int32_t i = len / 2; i-- > 0;)
        sift_down(c->heap, len, i, weights);
    return len;
}

/* Takes the likeliest token off the heap; returns its weight. */
static float take(struct cutter *c, int32_t *len, const float *weights)
{
    float weight = weights[c->heap[0]];
    c->heap[0] = c->heap[--*len];
    if (*len)
        sift_down(c->heap, *len, 0, weights);
    return weight;
}

/* Zeroes what is left in the heap and everything in lower buckets. */
static void drop_below(struct cutter *c, float *weights, int32_t n, int32_t bucket, int32_t len)
{
    for (int32_t i = 0; i < len; i++)
        weights[c->heap[i]] = 0;
    for (int32_t i = 0; i < n; i++) {
        if (bucket_of(weights[i]) < bucket)
            weights[i] = 0;
    }
}

static void cut_top_k(struct cutter *c, float *weights, int32_t n, int32_t k)
{
    int32_t taken = 0;
    int32_t bucket = N_BUCKETS - 1;
    fill_buckets(c, weights, n);
    while (bucket >= 0 && k - taken > c->buckets[bucket].count)
        taken += c->buckets[bucket--].count;
    if (bucket < 0)
        return; /* there are fewer than k */
    int32_t len = gather(c, weights, n, bucket);
    float last = 0;
    for (; len > 0 && (taken < k || weights[c->heap[0]] == last); taken++)
        last = take(c, &len, weights);
    drop_below(c, weights, n, bucket, len);
}

static void cut_top_p(struct cutter *c, float *weights, int32_t n, double p)
{
    double total = 0, sum = 0;
    int32_t bucket = N_BUCKETS - 1;
    fill_buckets(c, weights, n);
    for (int32_t i = 0; i < N_BUCKETS; i++)
        total += c->buckets[i].sum;
    while (bucket >= 0 && sum + c->buckets[bucket].sum < p * total)
        sum += c->buckets[bucket--].sum;
    if (bucket < 0)
        return; /* rounding: all of them are wanted */
    int32_t len = gather(c, weights, n, bucket);
    while (len > 0 && sum < p * total)
        sum += (double)take(c, &len, weights);
    drop_below(c, weights, n, bucket, len);
}

/* min_p, and the sum of what is left after all cuts. */
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
    penalize(sampler, logits);
    int32_t best = largest(logits, n);
    if (best < 0)
        return 0;
    if (s->temperature == 0) {
        memset(logits, 0, (size_t)n * sizeof *logits);
        logits[best] = 1;
        return 1;
    }
    if (logits[best] > FLT_MAX)
        tame(logits, n);
    double total = weigh(logits, n, logits[best], (double)s->temperature);
    if (s->top_k > 0)
        cut_top_k(sampler->cutter, logits, n, s->top_k);
    if (s->top_p < 1)
        cut_top_p(sampler->cutter, logits, n, (double)s->top_p);
    return s->top_k > 0 || s->top_p < 1 || s->min_p > 0 ? cut_min_p(logits, n, s->min_p) : total;
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
