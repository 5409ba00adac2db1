/* SPDX-License-Identifier: Apache-2.0 */
/* The process's metrics and their text form (Prometheus exposition format 0.0.4). The list only
 * grows; updates touch one object each and take no lock. */
#include "base/metrics.h"

#include "base/check.h"

#include <inttypes.h>
#include <pthread.h>
#include <stdatomic.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#define MICRO_PER_UNIT 1000000.0
/* More than any duration or size we observe; above it the sum could not be told from a wrapped one.
 */
#define OBSERVED_MAX 1.0e12

enum {
    NUMBER_SIZE = 32
};

static pthread_mutex_t list_lock = PTHREAD_MUTEX_INITIALIZER;
static struct metric *list_first;
static struct metric *list_last;

static void print_family(struct buf *out, const struct metric *metric);
static void print_value(struct buf *out, const struct metric *metric);
static void print_histogram(struct buf *out, const struct metric *metric);
static void
print_sample(struct buf *out, const struct metric *metric, const char *suffix, const char *bound);
static const char *format_number(double number, char text[static NUMBER_SIZE]);

void metric_register(struct metric *metric)
{
    CHECK(metric->next == NULL);
    CHECK(metric->bounds_count <= METRIC_BUCKETS_MAX);
    CHECK(metric->kind == METRIC_HISTOGRAM || metric->bounds_count == 0);
    for (uint32_t i = 1; i < metric->bounds_count; i++) {
        CHECK(metric->bounds[i - 1] < metric->bounds[i]);
    }

    CHECK(pthread_mutex_lock(&list_lock) == 0);
    CHECK(metric != list_last);
    if (list_last == NULL) {
        list_first = metric;
    } else {
        list_last->next = metric;
    }
    list_last = metric;
    CHECK(pthread_mutex_unlock(&list_lock) == 0);
}

void metric_add(struct metric *metric, int64_t amount)
{
    CHECK(metric->kind == METRIC_GAUGE || (metric->kind == METRIC_COUNTER && amount >= 0));
    atomic_fetch_add_explicit(&metric->value, amount, memory_order_relaxed);
}

void metric_set(struct metric *metric, int64_t value)
{
    CHECK(metric->kind == METRIC_GAUGE);
    atomic_store_explicit(&metric->value, value, memory_order_relaxed);
}

void metric_observe(struct metric *metric, double value)
{
    CHECK(metric->kind == METRIC_HISTOGRAM);
    uint32_t bucket = 0;
    while (bucket < metric->bounds_count && value > metric->bounds[bucket]) {
        bucket++;
    }
    atomic_fetch_add_explicit(&metric->buckets[bucket], 1, memory_order_relaxed);
    /* What we observe are durations and sizes; a negative one is a clock's jitter around zero. */
    double positive = value > 0 ? value : 0;
    positive = positive < OBSERVED_MAX ? positive : OBSERVED_MAX;
    atomic_fetch_add_explicit(
        &metric->sum_micro, (uint64_t)(positive * MICRO_PER_UNIT), memory_order_relaxed);
}

void metrics_print(struct buf *out)
{
    const char *family = "";

    CHECK(pthread_mutex_lock(&list_lock) == 0);
    for (struct metric *metric = list_first; metric != NULL; metric = metric->next) {
        if (strcmp(family, metric->name) != 0) {
            print_family(out, metric);
            family = metric->name;
        }
        switch (metric->kind) {
        case METRIC_COUNTER:
        case METRIC_GAUGE:
            print_value(out, metric);
            break;
        case METRIC_HISTOGRAM:
            print_histogram(out, metric);
            break;
        }
    }
    CHECK(pthread_mutex_unlock(&list_lock) == 0);
}

static void print_family(struct buf *out, const struct metric *metric)
{
    static const char *const kinds[] = {
        [METRIC_COUNTER] = "counter",
        [METRIC_GAUGE] = "gauge",
        [METRIC_HISTOGRAM] = "histogram",
    };

    buf_printf(out, "# HELP %s ", metric->name);
    for (const char *c = metric->help; *c != '\0'; c++) {
        if (*c == '\\') {
            buf_append_string(out, "\\\\");
        } else if (*c == '\n') {
            buf_append_string(out, "\\n");
        } else {
            buf_append(out, c, 1);
        }
    }
    buf_printf(out, "\n# TYPE %s %s\n", metric->name, kinds[metric->kind]);
}

static void print_value(struct buf *out, const struct metric *metric)
{
    print_sample(out, metric, "", NULL);
    buf_printf(out, " %" PRId64 "\n", atomic_load_explicit(&metric->value, memory_order_relaxed));
}

static void print_histogram(struct buf *out, const struct metric *metric)
{
    char bound[NUMBER_SIZE];
    uint64_t total = 0;

    for (uint32_t i = 0; i <= metric->bounds_count; i++) {
        total += atomic_load_explicit(&metric->buckets[i], memory_order_relaxed);
        bool last = i == metric->bounds_count;
        print_sample(
            out, metric, "_bucket", last ? "+Inf" : format_number(metric->bounds[i], bound));
        buf_printf(out, " %" PRIu64 "\n", total);
    }
    uint64_t sum_micro = atomic_load_explicit(&metric->sum_micro, memory_order_relaxed);
    print_sample(out, metric, "_sum", NULL);
    buf_printf(out, " %s\n", format_number((double)sum_micro / MICRO_PER_UNIT, bound));
    print_sample(out, metric, "_count", NULL);
    /* The same total as the last bucket, so that one scrape never contradicts itself. */
    buf_printf(out, " %" PRIu64 "\n", total);
}

/* The name and labels of a sample, "name_suffix{labels,le=\"bound\"}". */
static void
print_sample(struct buf *out, const struct metric *metric, const char *suffix, const char *bound)
{
    const char *labels = metric->labels != NULL ? metric->labels : "";

    buf_printf(out, "%s%s", metric->name, suffix);
    if (bound != NULL) {
        buf_printf(out, "{%s%sle=\"%s\"}", labels, labels[0] != '\0' ? "," : "", bound);
    } else if (labels[0] != '\0') {
        buf_printf(out, "{%s}", labels);
    }
}

/* The shorter of two texts that read back as the same number: 0.005, not 0.0050000000000000001. */
static const char *format_number(double number, char text[static NUMBER_SIZE])
{
    int len = snprintf(text, NUMBER_SIZE, "%.15g", number);
    CHECK(len > 0 && len < NUMBER_SIZE);
    if (strtod(text, NULL) < number || strtod(text, NULL) > number) {
        len = snprintf(text, NUMBER_SIZE, "%.17g", number);
        CHECK(len > 0 && len < NUMBER_SIZE);
    }
    return text;
}
