#include "front/metrics.h"

#include <math.h>
#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#define MAX_ROUTES   24 /* more are counted as other */
#define MAX_BOUNDS   16
#define RECENT       1000
#define OTHER_STATUS 0

/* As numbers and as the page names them: its text is made often, these numbers never change. */
struct bound {
    double value;
    const char *text;
};

static const struct bound wait_bounds[MAX_BOUNDS] = {
    {0.005, "0.005"}, {0.01, "0.01"}, {0.025, "0.025"}, {0.05, "0.05"}, {0.1, "0.1"},
    {0.25, "0.25"},   {0.5, "0.5"},   {1, "1"},         {2.5, "2.5"},   {5, "5"},
    {10, "10"},       {30, "30"},     {60, "60"},       {120, "120"},   {300, "300"}};
static const struct bound rate_bounds[MAX_BOUNDS] = {
    {1, "1"},   {2, "2"},   {5, "5"},   {10, "10"},   {15, "15"},   {20, "20"},  {30, "30"},
    {40, "40"}, {60, "60"}, {80, "80"}, {120, "120"}, {200, "200"}, {400, "400"}};
static const struct bound length_bounds[MAX_BOUNDS] = {
    {1, "1"},     {4, "4"},       {16, "16"},     {64, "64"},     {128, "128"},   {256, "256"},
    {512, "512"}, {1024, "1024"}, {2048, "2048"}, {4096, "4096"}, {8192, "8192"}, {32768, "32768"}};

static const struct {
    const char *name;
    const char *help;
} counters[METRICS_N_COUNTERS] = {
    [METRICS_PROMPT_TOKENS] = {"vlmd_prompt_tokens_total", "Tokens of prompts, images included."},
    [METRICS_COMPLETION_TOKENS] = {"vlmd_completion_tokens_total", "Tokens generated."},
    [METRICS_IMAGES] = {"vlmd_images_total", "Images decoded for a model."},
    [METRICS_IMAGE_PIXELS] = {"vlmd_image_pixels_total", "Pixels of images as they were sent."},
    [METRICS_IMAGE_MODEL_PIXELS] = {"vlmd_image_model_pixels_total",
                                    "Pixels of images as the model took them."},
    [METRICS_IMAGES_REFUSED] = {"vlmd_images_refused_total", "Images that could not be decoded."},
    [METRICS_IMAGE_CACHE_HITS] = {"vlmd_image_cache_hits_total",
                                  "Images that the model had seen before and kept."},
    [METRICS_IMAGE_CACHE_MISSES] = {"vlmd_image_cache_misses_total",
                                    "Images that were looked for among those kept in vain."},
    [METRICS_IMAGE_CACHE_EVICTIONS] = {"vlmd_image_cache_evictions_total",
                                       "Kept images that made room for others."},
    [METRICS_CLIENTS_GONE] = {"vlmd_clients_gone_total",
                              "Requests whose client left before the answer was complete."},
    [METRICS_SLOW_READERS] = {"vlmd_slow_readers_total",
                              "Streams cut off because too much waited for their reader."},
    [METRICS_LATE_IDLE] = {"vlmd_late_idle_total",
                           "Connections closed after the idle time between requests."},
    [METRICS_LATE_HEAD] = {"vlmd_late_head_total", "Requests whose head did not arrive in time."},
    [METRICS_LATE_BODY] = {"vlmd_late_body_total", "Requests whose body did not arrive in time."},
    [METRICS_LATE_READ] = {"vlmd_late_read_total",
                           "Connections closed because their client read nothing or too little."},
    [METRICS_CONNECTIONS_REFUSED] = {"vlmd_connections_refused_total",
                                     "Connections closed at once because there were too many."},
    [METRICS_BODIES_REFUSED] = {"vlmd_bodies_refused_total",
                                "Requests refused because all bodies together were too large."},
    [METRICS_QUEUE_REFUSED] = {"vlmd_queue_refused_total",
                               "Completions refused because too many were waiting."},
    [METRICS_QUEUE_TIMEOUTS] = {"vlmd_queue_timeouts_total",
                                "Completions that waited for their turn for too long."},
    [METRICS_RATE_LIMITED] = {"vlmd_rate_limited_total", "Requests refused by a rate limit."},
};

static const struct {
    const char *name;
    const char *help;
    const struct bound *bounds; /* ascending, ended by 0 */
} series_of[METRICS_N_SERIES] = {
    [METRICS_QUEUE_SECONDS] = {"vlmd_queue_seconds",
                               "Time a completion waited before the model worked on it.",
                               wait_bounds},
    [METRICS_FIRST_TOKEN_SECONDS] = {"vlmd_time_to_first_token_seconds",
                                     "Time from a complete request to its first text.",
                                     wait_bounds},
    [METRICS_PREFILL_SECONDS] = {"vlmd_prefill_seconds", "Time a prompt took, vision apart.",
                                 wait_bounds},
    [METRICS_VISION_SECONDS] = {"vlmd_vision_seconds",
                                "Time a request's images took in the vision tower.", wait_bounds},
    [METRICS_DECODE_RATE] = {"vlmd_tokens_per_second",
                             "Tokens a second of one answer while it was generated.", rate_bounds},
    [METRICS_IMAGE_SECONDS] = {"vlmd_image_decode_seconds",
                               "Time to decode and resize one image, its wait included.",
                               wait_bounds},
    [METRICS_LOAD_SECONDS] = {"vlmd_model_load_seconds", "Time a model took to load.", wait_bounds},
    [METRICS_PROMPT_LENGTH] = {"vlmd_prompt_length_tokens", "Tokens of one prompt.", length_bounds},
    [METRICS_COMPLETION_LENGTH] = {"vlmd_completion_length_tokens", "Tokens of one answer.",
                                   length_bounds},
};

/* Those that an answer of ours can have; any other is counted as 0. */
static const int statuses[] = {OTHER_STATUS, 200, 400, 401, 403, 404, 405, 408, 409, 411, 413, 414,
                               415,          417, 429, 431, 499, 500, 501, 502, 503, 504, 505};

#define N_STATUSES (sizeof statuses / sizeof *statuses)

struct distribution {
    uint64_t counts[MAX_BOUNDS]; /* of values up to each bound; behind the last one: all larger */
    uint64_t n;
    double sum;
};

struct route_counts {
    const char *route; /* NULL: requests that found none */
    uint64_t answers[N_STATUSES];
    struct distribution seconds;
};

struct metrics {
    uint64_t counters[METRICS_N_COUNTERS];
    struct distribution series[METRICS_N_SERIES];
    struct route_counts routes[MAX_ROUTES]; /* the first is that of no route */
    size_t n_routes;
    double recent[RECENT]; /* a ring */
    uint64_t n_recent;     /* ever */
};

struct metrics *metrics_open(void)
{
    struct metrics *m = calloc(1, sizeof *m);
    if (m)
        m->n_routes = 1;
    return m;
}

void metrics_close(struct metrics *m)
{
    free(m);
}

/* ---- counting */

void metrics_add(struct metrics *m, enum metrics_counter counter, uint64_t n)
{
    if (m)
        m->counters[counter] += n;
}

static void put(struct distribution *d, const struct bound *bounds, double value)
{
    size_t i = 0;
    while (i < MAX_BOUNDS - 1 && bounds[i].value > 0 && value > bounds[i].value)
        i++;
    d->counts[i]++;
    d->n++;
    d->sum += value;
}

void metrics_observe(struct metrics *m, enum metrics_series series, double value)
{
    if (m && isfinite(value))
        put(&m->series[series], series_of[series].bounds, value > 0 ? value : 0);
}

static struct route_counts *find_route(struct metrics *m, const char *route)
{
    for (size_t i = 1; route && i < m->n_routes; i++)
        if (strcmp(m->routes[i].route, route) == 0)
            return &m->routes[i];
    if (!route || m->n_routes == MAX_ROUTES)
        return &m->routes[0];
    m->routes[m->n_routes].route = route;
    return &m->routes[m->n_routes++];
}

static bool is_completion(const char *route)
{
    return strcmp(route, "/v1/chat/completions") == 0 || strcmp(route, "/v1/completions") == 0;
}

void metrics_answered(struct metrics *m, const char *route, int status, double seconds)
{
    if (!m)
        return;
    struct route_counts *r = find_route(m, route);
    size_t i = N_STATUSES - 1;
    while (i > 0 && statuses[i] != status)
        i--;
    r->answers[i]++;
    put(&r->seconds, wait_bounds, seconds);
    if (route && is_completion(route))
        m->recent[m->n_recent++ % RECENT] = seconds;
}

void metrics_completed(struct metrics *m, const struct ipc_done *done, size_t images)
{
    double decode = (double)done->decode_seconds;
    metrics_add(m, METRICS_PROMPT_TOKENS, (uint64_t)done->prompt_tokens);
    metrics_add(m, METRICS_COMPLETION_TOKENS, (uint64_t)done->completion_tokens);
    metrics_observe(m, METRICS_PROMPT_LENGTH, done->prompt_tokens);
    metrics_observe(m, METRICS_COMPLETION_LENGTH, done->completion_tokens);
    metrics_observe(m, METRICS_QUEUE_SECONDS, (double)done->queue_seconds);
    metrics_observe(m, METRICS_PREFILL_SECONDS, (double)done->prefill_seconds);
    if (images > 0)
        metrics_observe(m, METRICS_VISION_SECONDS, (double)done->vision_seconds);
    if (done->completion_tokens > 1 && decode > 0)
        metrics_observe(m, METRICS_DECODE_RATE, (done->completion_tokens - 1) / decode);
}

/* ---- Prometheus' text */

void metrics_family(struct buf *out, const char *name, const char *type, const char *help)
{
    const char *const parts[] = {"# HELP ", name, " ", help, "\n# TYPE ", name, " ", type, "\n"};
    for (size_t i = 0; i < sizeof parts / sizeof *parts; i++)
        buf_append_text(out, parts[i]);
}

static void append_whole(struct buf *out, uint64_t n)
{
    char digits[20]; /* of 2^64 - 1 */
    size_t at = sizeof digits;
    do {
        digits[--at] = (char)('0' + n % 10);
        n /= 10;
    } while (n > 0);
    buf_append(out, digits + at, sizeof digits - at);
}

/* Most are whole, and those take a tenth of the time. */
static void append_number(struct buf *out, double value)
{
    if (value >= 0 && value < 1e15 && value == floor(value))
        append_whole(out, (uint64_t)value);
    else
        buf_appendf(out, "%.15g", value);
}

static void append_escaped(struct buf *out, const char *text)
{
    for (; *text; text++) {
        if (*text == '\\' || *text == '"')
            buf_append_char(out, '\\');
        if (*text == '\n')
            buf_append_text(out, "\\n");
        else
            buf_append_char(out, *text);
    }
}

void metrics_sample(struct buf *out, const char *name, double value, const char *const *labels)
{
    buf_append_text(out, name);
    for (size_t i = 0; labels && labels[i]; i += 2) {
        buf_append_char(out, i == 0 ? '{' : ',');
        buf_append_text(out, labels[i]);
        buf_append_text(out, "=\"");
        append_escaped(out, labels[i + 1]);
        buf_append_char(out, '"');
    }
    buf_append_text(out, labels && labels[0] ? "} " : " ");
    append_number(out, value);
    buf_append_char(out, '\n');
}

/* The end of a sample's name, with the labels but their last brace, or without any. */
static void append_name(struct buf *out, const char *name, const char *end, const char *label)
{
    buf_append_text(out, name);
    buf_append_text(out, end);
    if (*label)
        buf_append_char(out, '{');
    buf_append_text(out, label);
    buf_append_text(out, *label ? "} " : " ");
}

static void append_bucket(struct buf *out, const struct buf *head, const char *bound, uint64_t n)
{
    buf_append(out, head->data, head->len);
    buf_append_text(out, bound);
    buf_append_text(out, "\"} ");
    append_whole(out, n);
    buf_append_char(out, '\n');
}

/* Cumulative buckets, sum and count, each with `label` (name="value", or nothing). */
static void append_distribution(struct buf *out, const char *name, const char *label,
                                const struct bound *bounds, const struct distribution *d)
{
    struct buf head = {0};
    uint64_t sum = 0;
    buf_appendf(&head, "%s_bucket{%s%sle=\"", name, label, *label ? "," : "");
    for (size_t i = 0; i < MAX_BOUNDS - 1 && bounds[i].value > 0; i++) {
        sum += d->counts[i];
        append_bucket(out, &head, bounds[i].text, sum);
    }
    append_bucket(out, &head, "+Inf", d->n);
    append_name(out, name, "_sum", label);
    buf_appendf(out, "%.9g\n", d->sum);
    append_name(out, name, "_count", label);
    append_whole(out, d->n);
    buf_append_char(out, '\n');
    out->failed = out->failed || head.failed;
    buf_free(&head);
}

static const char *route_name(const struct route_counts *r)
{
    return r->route ? r->route : "none";
}

static void append_answers(struct buf *out, const struct metrics *m)
{
    static const char name[] = "vlmd_requests_total";
    metrics_family(out, name, "counter", "Answers by route and status (0: any other).");
    for (size_t i = 0; i < m->n_routes; i++)
        for (size_t j = 0; j < N_STATUSES; j++)
            if (m->routes[i].answers[j] > 0)
                buf_appendf(out, "%s{route=\"%s\",status=\"%d\"} %llu\n", name,
                            route_name(&m->routes[i]), statuses[j],
                            (unsigned long long)m->routes[i].answers[j]);
}

static void append_answer_times(struct buf *out, const struct metrics *m)
{
    static const char name[] = "vlmd_request_seconds";
    metrics_family(out, name, "histogram", "Time from a request's first byte to its answer's end.");
    for (size_t i = 0; i < m->n_routes; i++) {
        char label[96];
        snprintf(label, sizeof label, "route=\"%s\"", route_name(&m->routes[i]));
        append_distribution(out, name, label, wait_bounds, &m->routes[i].seconds);
    }
}

void metrics_append(struct buf *out, const struct metrics *m)
{
    if (!m)
        return;
    append_answers(out, m);
    append_answer_times(out, m);
    for (size_t i = 0; i < METRICS_N_COUNTERS; i++) {
        metrics_family(out, counters[i].name, "counter", counters[i].help);
        metrics_sample(out, counters[i].name, (double)m->counters[i], NULL);
    }
    for (size_t i = 0; i < METRICS_N_SERIES; i++) {
        metrics_family(out, series_of[i].name, "histogram", series_of[i].help);
        append_distribution(out, series_of[i].name, "", series_of[i].bounds, &m->series[i]);
    }
}

/* ---- summaries */

struct metrics_totals metrics_totals(const struct metrics *m)
{
    struct metrics_totals t = {0};
    for (size_t i = 1; m && i < m->n_routes; i++) {
        const struct route_counts *r = &m->routes[i];
        if (!is_completion(r->route))
            continue;
        for (size_t j = 0; j < N_STATUSES; j++) {
            t.answers += r->answers[j];
            t.good += statuses[j] > 0 && statuses[j] < 400 ? r->answers[j] : 0;
            t.refused_busy += statuses[j] == 429 || statuses[j] == 503 ? r->answers[j] : 0;
        }
        t.seconds += r->seconds.sum;
    }
    return t;
}

size_t metrics_recent_count(const struct metrics *m)
{
    uint64_t n = m ? m->n_recent : 0;
    return n < RECENT ? (size_t)n : RECENT;
}

static int compare(const void *a, const void *b)
{
    double x = *(const double *)a, y = *(const double *)b;
    return (x > y) - (x < y);
}

double metrics_recent_quantile(const struct metrics *m, double q)
{
    double sorted[RECENT];
    size_t n = metrics_recent_count(m);
    if (n == 0)
        return 0;
    memcpy(sorted, m->recent, n * sizeof *sorted);
    qsort(sorted, n, sizeof *sorted, compare);
    return sorted[(size_t)(q * (double)(n - 1) + 0.5)];
}

double metrics_mean(const struct metrics *m, enum metrics_series series)
{
    const struct distribution *d = m ? &m->series[series] : NULL;
    return d && d->n > 0 ? d->sum / (double)d->n : 0;
}
