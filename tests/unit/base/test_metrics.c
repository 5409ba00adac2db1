/* SPDX-License-Identifier: Apache-2.0 */
/* Goal: the exposition is what Prometheus reads. Method: the whole text of a few metrics. The list
 * is the process's, so one fixture registers them all, and each test changes its own. */
#include "base/metrics.h"

#include "tests/support/support_abort.h"

#include <math.h>
#include <pthread.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <string.h>

#include <cmocka.h>

enum {
    THREADS = 4,
    ADDS_EACH = 10000
};

static struct metric requests_ok = {
    .name = "test_requests_total",
    .help = "Requests, by outcome.",
    .labels = "outcome=\"ok\"",
    .kind = METRIC_COUNTER,
};
static struct metric requests_failed = {
    .name = "test_requests_total",
    .help = "Requests, by outcome.",
    .labels = "outcome=\"failed\"",
    .kind = METRIC_COUNTER,
};
static struct metric term = {
    .name = "test_term",
    .help = "A help with a \\ and a\nbreak.",
    .kind = METRIC_GAUGE,
};
static struct metric seconds = {
    .name = "test_seconds",
    .help = "How long.",
    .labels = "lane=\"bulk\"",
    .kind = METRIC_HISTOGRAM,
    .bounds = {0.001, 0.1, 2.5},
    .bounds_count = 3,
};
static struct metric sizes = {
    .name = "test_sizes",
    .help = "How large.",
    .kind = METRIC_HISTOGRAM,
};
static struct metric shared = {
    .name = "test_shared_total",
    .help = "Added to by threads.",
    .kind = METRIC_COUNTER,
};

static int register_all(void **state)
{
    (void)state;
    metric_register(&requests_ok);
    metric_register(&requests_failed);
    metric_register(&term);
    metric_register(&seconds);
    metric_register(&sizes);
    metric_register(&shared);
    return 0;
}

static void assert_printed(const char *expected)
{
    struct buf out = {0};
    metrics_print(&out);
    buf_put_u8(&out, 0);
    if (strstr((const char *)out.data, expected) == NULL) {
        fail_msg("not in the exposition: %s\n%s", expected, (const char *)out.data);
    }
    buf_deinit(&out);
}

static void test_counters_of_one_name_share_their_help(void **state)
{
    (void)state;
    metric_add(&requests_ok, 2);
    metric_add(&requests_ok, 3);
    assert_printed("# HELP test_requests_total Requests, by outcome.\n"
                   "# TYPE test_requests_total counter\n"
                   "test_requests_total{outcome=\"ok\"} 5\n"
                   "test_requests_total{outcome=\"failed\"} 0\n"
                   "# HELP test_term");
}

static void test_gauge_goes_up_and_down_and_help_is_escaped(void **state)
{
    (void)state;
    metric_set(&term, 7);
    metric_add(&term, -9);
    assert_printed("# HELP test_term A help with a \\\\ and a\\nbreak.\n"
                   "# TYPE test_term gauge\n"
                   "test_term -2\n");
}

static void test_histogram_counts_each_value_in_all_buckets_above_it(void **state)
{
    (void)state;
    metric_observe(&seconds, 0.0005);
    metric_observe(&seconds, 0.1); /* a bound belongs to its bucket */
    metric_observe(&seconds, 0.2);
    metric_observe(&seconds, 100);
    metric_observe(&seconds, -1); /* counts as zero */
    assert_printed("# TYPE test_seconds histogram\n"
                   "test_seconds_bucket{lane=\"bulk\",le=\"0.001\"} 2\n"
                   "test_seconds_bucket{lane=\"bulk\",le=\"0.1\"} 3\n"
                   "test_seconds_bucket{lane=\"bulk\",le=\"2.5\"} 4\n"
                   "test_seconds_bucket{lane=\"bulk\",le=\"+Inf\"} 5\n"
                   "test_seconds_sum{lane=\"bulk\"} 100.3005\n"
                   "test_seconds_count{lane=\"bulk\"} 5\n");
}

static void test_no_observation_is_too_large_or_no_number(void **state)
{
    (void)state;
    metric_observe(&sizes, HUGE_VAL);
    metric_observe(&sizes, 1e300);
    metric_observe(&sizes, (double)NAN);
    assert_printed("test_sizes_bucket{le=\"+Inf\"} 3\n"
                   "test_sizes_sum 2000000000000\n"
                   "test_sizes_count 3\n");
}

static void *add_many(void *ctx)
{
    for (int i = 0; i < ADDS_EACH; i++) {
        metric_add(ctx, 1);
    }
    return NULL;
}

static void test_threads_lose_no_count(void **state)
{
    (void)state;
    pthread_t threads[THREADS];
    for (int i = 0; i < THREADS; i++) {
        assert_int_equal(pthread_create(&threads[i], NULL, add_many, &shared), 0);
    }
    for (int i = 0; i < THREADS; i++) {
        assert_int_equal(pthread_join(threads[i], NULL), 0);
    }
    assert_printed("\ntest_shared_total 40000\n");
}

static void count_down(void *ctx)
{
    metric_add(ctx, -1);
}

static void register_again(void *ctx)
{
    metric_register(ctx);
}

static void register_unordered(void *ctx)
{
    struct metric *metric = ctx;
    metric_register(metric);
}

static void test_misuse_is_a_bug(void **state)
{
    (void)state;
    static struct metric unordered = {
        .name = "test_unordered",
        .help = "Bounds that go down.",
        .kind = METRIC_HISTOGRAM,
        .bounds = {2, 1},
        .bounds_count = 2,
    };
    assert_true(support_aborts(count_down, &requests_ok, NULL, 0));
    assert_true(support_aborts(register_again, &term, NULL, 0));
    assert_true(support_aborts(register_again, &shared, NULL, 0));
    assert_true(support_aborts(register_unordered, &unordered, NULL, 0));
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_counters_of_one_name_share_their_help),
        cmocka_unit_test(test_gauge_goes_up_and_down_and_help_is_escaped),
        cmocka_unit_test(test_histogram_counts_each_value_in_all_buckets_above_it),
        cmocka_unit_test(test_no_observation_is_too_large_or_no_number),
        cmocka_unit_test(test_threads_lose_no_count),
        cmocka_unit_test(test_misuse_is_a_bug),
    };
    return cmocka_run_group_tests(tests, register_all, NULL);
}
