/* Counters, distributions and their text. */
#include "unit.h"

#include <stdio.h>
#include <string.h>
#include <unistd.h>

#include "front/metrics.h"
#include "front/process.h"

static void assert_has(const struct metrics *m, const char *line)
{
    struct buf out = {0};
    metrics_append(&out, m);
    if (!strstr(out.data, line))
        print_error("missing: %s\n", line);
    assert_non_null(strstr(out.data, line));
    buf_free(&out);
}

static void test_nobody_counts(void **state)
{
    (void)state;
    struct buf out = {0};
    struct ipc_done done = {0};
    metrics_add(NULL, METRICS_IMAGES, 1);
    metrics_observe(NULL, METRICS_QUEUE_SECONDS, 1);
    metrics_answered(NULL, "/a", 200, 1);
    metrics_completed(NULL, &done, 1);
    metrics_append(&out, NULL);
    assert_int_equal(out.len, 0);
    assert_int_equal(metrics_totals(NULL).answers, 0);
    assert_true(metrics_recent_quantile(NULL, 0.5) <= 0);
    assert_true(metrics_mean(NULL, METRICS_QUEUE_SECONDS) <= 0);
}

static void test_distribution(void **state)
{
    (void)state;
    struct metrics *m = metrics_open();
    const double values[] = {0, 0.005, 0.0051, 1, 299, 301, -5};
    for (size_t i = 0; i < sizeof values / sizeof *values; i++)
        metrics_observe(m, METRICS_QUEUE_SECONDS, values[i]);
    metrics_observe(m, METRICS_QUEUE_SECONDS, 0.0 / (values[0] + 0.0)); /* no number: not counted */
    assert_has(m, "\nvlmd_queue_seconds_bucket{le=\"0.005\"} 3\n");
    assert_has(m, "\nvlmd_queue_seconds_bucket{le=\"0.01\"} 4\n");
    assert_has(m, "\nvlmd_queue_seconds_bucket{le=\"1\"} 5\n");
    assert_has(m, "\nvlmd_queue_seconds_bucket{le=\"300\"} 6\n");
    assert_has(m, "\nvlmd_queue_seconds_bucket{le=\"+Inf\"} 7\n");
    assert_has(m, "\nvlmd_queue_seconds_sum 601.0101\n");
    assert_has(m, "\nvlmd_queue_seconds_count 7\n");
    metrics_close(m);
}

static void test_answers(void **state)
{
    (void)state;
    static char routes[40][16];
    struct metrics *m = metrics_open();
    metrics_answered(m, "/v1/chat/completions", 200, 0.5);
    metrics_answered(m, "/v1/chat/completions", 503, 0.1);
    metrics_answered(m, "/v1/chat/completions", 777, 0.2);
    metrics_answered(m, NULL, 404, 0.1);
    struct metrics_totals t = metrics_totals(m);
    assert_int_equal(t.answers, 3);
    assert_int_equal(t.good, 1);
    assert_int_equal(t.refused_busy, 1);
    assert_has(m, "{route=\"/v1/chat/completions\",status=\"0\"} 1\n");
    assert_has(m, "{route=\"none\",status=\"404\"} 1\n");
    assert_has(m, "vlmd_request_seconds_count{route=\"/v1/chat/completions\"} 3\n");
    for (int i = 0; i < 40; i++) { /* more than there is room for */
        snprintf(routes[i], sizeof routes[i], "/%d", i);
        metrics_answered(m, routes[i], 404, 0.1);
    }
    assert_has(m, "{route=\"/5\",status=\"404\"} 1\n");
    assert_has(m, "{route=\"none\",status=\"404\"} 19\n");
    metrics_close(m);
}

static void test_recent(void **state)
{
    (void)state;
    struct metrics *m = metrics_open();
    for (int i = 1; i <= 2500; i++)
        metrics_answered(m, "/v1/chat/completions", 200, i);
    assert_int_equal(metrics_recent_count(m), 1000);
    assert_int_equal(metrics_recent_quantile(m, 0), 1501);
    assert_int_equal(metrics_recent_quantile(m, 0.5), 2001);
    assert_int_equal(metrics_recent_quantile(m, 1), 2500);
    metrics_close(m);
}

static void test_completed(void **state)
{
    (void)state;
    struct metrics *m = metrics_open();
    struct ipc_done done = {.prompt_tokens = 100, .completion_tokens = 11, .decode_seconds = 0.5F};
    metrics_completed(m, &done, 0);
    done.completion_tokens = 1; /* no rate can be told from one token */
    metrics_completed(m, &done, 2);
    assert_has(m, "\nvlmd_prompt_tokens_total 200\n");
    assert_has(m, "\nvlmd_completion_tokens_total 12\n");
    assert_has(m, "\nvlmd_tokens_per_second_sum 20\n");
    assert_has(m, "\nvlmd_tokens_per_second_count 1\n");
    assert_has(m, "\nvlmd_vision_seconds_count 1\n");
    metrics_close(m);
}

static void test_labels(void **state)
{
    (void)state;
    struct buf out = {0};
    const char *labels[] = {"a", "x\"y\\z\n", "b", "", NULL};
    metrics_sample(&out, "name", 1e9, labels);
    assert_string_equal(out.data, "name{a=\"x\\\"y\\\\z\\n\",b=\"\"} 1000000000\n");
    buf_free(&out);
}

static void test_process(void **state)
{
    (void)state;
    struct process_use use = process_use(getpid());
    assert_true(use.resident_bytes > 100000);
    assert_true(use.private_bytes <= use.resident_bytes);
    assert_true(process_use(0x3FFFFFFF).resident_bytes == 0);
    unsigned before = process_open_descriptors();
    FILE *f = fopen("/dev/null", "r");
    assert_int_equal(process_open_descriptors(), before + 1);
    fclose(f);
    assert_true(process_max_descriptors() > before);
    assert_true(process_system_memory() > use.resident_bytes);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_nobody_counts), cmocka_unit_test(test_distribution),
        cmocka_unit_test(test_answers),       cmocka_unit_test(test_recent),
        cmocka_unit_test(test_completed),     cmocka_unit_test(test_labels),
        cmocka_unit_test(test_process),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
