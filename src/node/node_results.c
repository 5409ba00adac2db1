/* SPDX-License-Identifier: Apache-2.0 */
/* What came of applied commands, for people: a line each, and counters. */
#include "node/node_internal.h"

#include "base/log.h"
#include "base/metrics.h"

#include <inttypes.h>

static struct metric failovers_begun = {
    .name = "indaba_failovers_begun_total",
    .help = "Failovers begun, as applied by this process.",
    .kind = METRIC_COUNTER,
};

static struct metric failovers_opened = {
    .name = "indaba_failovers_opened_total",
    .help = "Failovers that opened a primary, as applied by this process.",
    .kind = METRIC_COUNTER,
};

static struct metric refusals = {
    .name = "indaba_commands_refused_total",
    .help = "Commands refused at apply, as applied by this process.",
    .kind = METRIC_COUNTER,
};

static void count_result(const struct applier_result *result);

void node_results_register_metrics(void)
{
    metric_register(&failovers_begun);
    metric_register(&failovers_opened);
    metric_register(&refusals);
}

void node_results_tell(const struct applier_batch *batch)
{
    for (uint32_t i = 0; i < batch->results_count; i++) {
        const struct applier_result *result = &batch->results[i];
        if (result->kind == COMMAND_NONE || result->kind == COMMAND_KV) {
            continue; /* of those there are too many for a line each */
        }
        bool ok = result->result.error == ERR_OK;
        count_result(result);
        log_event(LOG_INFO,
                  command_kind_name(result->kind),
                  "index=%" PRIu64 " term=%" PRIu64 " result=%s why=%s",
                  result->index,
                  result->term,
                  error_name(result->result.error),
                  log_quote(ok ? "-" : result->result.message));
    }
}

static void count_result(const struct applier_result *result)
{
    if (result->result.error != ERR_OK) {
        metric_add(&refusals, 1);
    } else if (result->kind == COMMAND_FAILOVER_BEGIN) {
        metric_add(&failovers_begun, 1);
    } else if (result->kind == COMMAND_FAILOVER_OPENED) {
        metric_add(&failovers_opened, 1);
    }
}
