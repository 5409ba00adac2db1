/* SPDX-License-Identifier: Apache-2.0 */
/* What is said of connections and streams that were ended or not let in for the sake of others: a
 * counter for each cause, and a line, folded, since strangers decide how often it happens. */
#include "base/fold.h"
#include "base/log.h"
#include "base/mem.h"
#include "base/metrics.h"
#include "rpc/net_internal.h"

#include <inttypes.h>
#include <pthread.h>
#include <stdio.h>

enum {
    TELL_MS = 1000,
    PAUSE_MAX_MS = 60 * 1000
};

struct net_refusals {
    struct fold fold;
    uint64_t told_ms;
};

static struct metric counters[NET_REFUSALS_COUNT] = {
#define X(id, text)                                                                         \
    [id] = {.name = "indaba_connections_refused_total",                                     \
            .help = "Connections and streams that were refused or gave way, by the cause.", \
            .labels = "cause=\"" text "\"",                                                 \
            .kind = METRIC_COUNTER},
    NET_REFUSALS(X)
#undef X
};

static const char *const names[NET_REFUSALS_COUNT] = {
#define X(id, text) [id] = (text),
    NET_REFUSALS(X)
#undef X
};

static pthread_once_t register_once = PTHREAD_ONCE_INIT;

static void register_counters(void);

struct net_refusals *net_refusals_new(void)
{
    (void)pthread_once(&register_once, register_counters);
    struct net_refusals *refusals = mem_new(sizeof(*refusals));
    refusals->fold.pause_max_ms = PAUSE_MAX_MS;
    return refusals;
}

void net_refused(struct net *net, enum net_refusal cause, const char *who)
{
    char text[FOLD_TEXT_SIZE];
    metric_add(&counters[cause], 1);
    (void)snprintf(text, sizeof(text), "cause=%s %s", names[cause], who);
    fold_add(&net->refusals->fold, text, "", uv_now(net->loop));
}

void net_refusals_tell(struct net *net)
{
    struct net_refusals *refusals = net->refusals;
    uint64_t now_ms = uv_now(net->loop);
    struct fold_told told;
    if (now_ms < refusals->told_ms + TELL_MS) {
        return;
    }
    refusals->told_ms = now_ms;
    while (fold_due(&refusals->fold, now_ms, &told)) {
        log_event(LOG_WARN, "connection.refused", "%s count=%" PRIu64, told.text, told.count);
    }
}

static void register_counters(void)
{
    for (uint32_t cause = 0; cause < NET_REFUSALS_COUNT; cause++) {
        metric_register(&counters[cause]);
    }
}
