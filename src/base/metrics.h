/* SPDX-License-Identifier: Apache-2.0 */
/* Counters, gauges and histograms, printed in Prometheus' text exposition format 0.0.4. Metrics are
 * declared as static objects and registered once at start; updates are atomic and cheap. */
#ifndef INDABA_BASE_METRICS_H
#define INDABA_BASE_METRICS_H

#include "base/buf.h"

#include <stdint.h>

enum metric_kind {
    METRIC_COUNTER,
    METRIC_GAUGE,
    METRIC_HISTOGRAM,
};

enum {
    METRIC_BUCKETS_MAX = 16
};

struct metric {
    const char *name;   /* "indaba_raft_term" */
    const char *help;   /* one sentence */
    const char *labels; /* "lane=\"heartbeat\"" or NULL; fixed, never from outside */
    enum metric_kind kind;
    /* Histogram: upper bounds in the metric's unit, ascending; the rest is +Inf. */
    double bounds[METRIC_BUCKETS_MAX];
    uint32_t bounds_count;
    _Atomic int64_t value;
    _Atomic uint64_t buckets[METRIC_BUCKETS_MAX + 1];
    _Atomic uint64_t sum_micro;
    struct metric *next;
};

/* Adds to the process's list; once per metric. Metrics of one name are registered one after the
 * other. */
void metric_register(struct metric *metric);
void metric_add(struct metric *metric, int64_t amount);
void metric_set(struct metric *metric, int64_t value);
void metric_observe(struct metric *metric, double value);
/* The whole exposition. */
void metrics_print(struct buf *out);

#endif
