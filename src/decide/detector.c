/* SPDX-License-Identifier: Apache-2.0 */
/* Is the primary of a shard dead? First evidence is what its own sidecar says or fails to say,
 * second what others see of its database. A standby that still hears the primary vetoes. */
#include "decide/detector.h"

#include "base/check.h"
#include "base/log.h"
#include "decide/explain.h"

#include <inttypes.h>
#include <string.h>

struct first_evidence {
    enum failover_cause cause;
    uint64_t since_ms;
    uint64_t after_ms; /* second evidence must have been reported after this */
};

static bool first_evidence(const struct shard_view *view,
                           const struct observations *observations,
                           uint64_t now_ms,
                           struct first_evidence *first_out);
static bool second_evidence(const struct shard_view *view,
                            const struct observation *observer,
                            const struct first_evidence *first);
static bool starves(const struct shard_view *view,
                    const struct observation *observer,
                    const struct first_evidence *first,
                    uint64_t now_ms);
static bool
receives(const struct shard_view *view, const struct observation *observer, uint64_t now_ms);
static bool
streams(const struct shard_view *view, const struct observation *observer, uint64_t now_ms);
static bool may_witness(const struct shard_view *view, struct instance_id observer);

void detect(const struct shard_view *view,
            const struct observations *observations,
            uint64_t now_ms,
            struct verdict *verdict_out)
{
    memset(verdict_out, 0, sizeof(*verdict_out));
    struct instance_id primary = view->shard.primary;
    const char *name = explain_instance(view, primary);
    if (primary.value == 0) {
        return;
    }
    const struct observation *own = observe_find(observations, primary);
    if (own != NULL && own->heard &&
        own->report.fenced_epoch.value >= view->shard.primary_epoch.value) {
        verdict_out->cause = CAUSE_PROCESS;
        verdict_out->first_ms = own->report_ms;
        explain(verdict_out->evidence,
                "the sidecar of %s reports its database fenced (epoch %" PRIu64 " is over there)",
                name,
                own->report.fenced_epoch.value);
        return;
    }
    detect_gone(view, observations, now_ms, verdict_out);
}

void detect_gone(const struct shard_view *view,
                 const struct observations *observations,
                 uint64_t now_ms,
                 struct verdict *verdict_out)
{
    struct instance_id primary = view->shard.primary;
    const char *name = explain_instance(view, primary);
    struct first_evidence first;

    memset(verdict_out, 0, sizeof(*verdict_out));
    if (primary.value == 0) {
        return;
    }
    if (!first_evidence(view, observations, now_ms, &first)) {
        return;
    }
    /* Whoever hears nobody is no judge of who is silent, and right after not either: what was said
     * meanwhile is still on its way. */
    if (observations->out_of_touch_ms != 0 &&
        now_ms - observations->out_of_touch_ms < DETECTOR_TOUCH_MS) {
        MARK("detector.out_of_touch");
        verdict_out->suspect = true;
        verdict_out->first_ms = first.since_ms;
        explain(verdict_out->evidence,
                "%s is not heard; but neither was a quorum of the members until %" PRIu64 " ms ago",
                name,
                now_ms - observations->out_of_touch_ms);
        return;
    }
    const struct observation *witness = NULL;
    for (uint32_t i = 0; i < observations->count; i++) {
        const struct observation *observer = &observations->items[i];
        if (observer->instance.value == primary.value) {
            continue;
        }
        if (first.cause == CAUSE_DISK ? receives(view, observer, now_ms)
                                      : streams(view, observer, now_ms)) {
            MARK("detector.veto_by_streaming");
            return;
        }
        if ((second_evidence(view, observer, &first) || starves(view, observer, &first, now_ms)) &&
            observation_is_fresh(observer, now_ms, DETECTOR_SILENT_MS)) {
            witness = observer;
        }
    }
    verdict_out->first_ms = first.since_ms;
    const char *said = first.cause == CAUSE_INSTANCE ? "session is closed"
                       : first.cause == CAUSE_DISK   ? "disk takes no writes"
                                                     : "reports have stopped";
    if (witness == NULL) {
        verdict_out->suspect = true;
        explain(verdict_out->evidence,
                "%s: its %s; no other instance confirms that its database is gone",
                name,
                said);
        return;
    }
    verdict_out->cause = first.cause;
    if (first.cause == CAUSE_DISK && witness->report.primary_reach == REACH_OK) {
        explain(verdict_out->evidence,
                "%s: its %s, and %s, which it streams to, has received none for as long",
                name,
                said,
                explain_instance(view, witness->instance));
        return;
    }
    explain(verdict_out->evidence,
            "%s: its %s, and %s finds its database %s%s",
            name,
            said,
            explain_instance(view, witness->instance),
            reach_name(witness->report.primary_reach),
            witness->report.receiver_streaming ? "" : ", its replication lost");
}

static bool first_evidence(const struct shard_view *view,
                           const struct observations *observations,
                           uint64_t now_ms,
                           struct first_evidence *first_out)
{
    const struct observation *own = observe_find(observations, view->shard.primary);
    CHECK(now_ms >= observations->elected_ms);

    if (own != NULL && own->session == 0 && own->closed) {
        first_out->cause = CAUSE_INSTANCE;
        first_out->since_ms = own->closed_ms;
        first_out->after_ms = own->closed_ms;
        return true;
    }
    if (own == NULL || own->session == 0) {
        uint64_t counts_ms = observations->elected_ms + DETECTOR_INTERVAL_MS;
        first_out->cause = CAUSE_INSTANCE;
        first_out->since_ms = observations->elected_ms;
        first_out->after_ms = observations->elected_ms;
        return now_ms >= counts_ms;
    }
    uint64_t heard_ms =
        own->heard && own->report_ms > own->opened_ms ? own->report_ms : own->opened_ms;
    if (now_ms - heard_ms >= DETECTOR_SILENT_MS) {
        first_out->cause = CAUSE_SILENT;
        first_out->since_ms = heard_ms;
        first_out->after_ms = heard_ms;
        return true;
    }
    /* It speaks, and says itself that nothing it writes becomes durable. */
    if (own->heard && own->report.write_stalled_ms >= DETECTOR_STALL_MS &&
        own->report.writable_epoch.value == view->shard.primary_epoch.value) {
        uint64_t stalled_ms = own->report.write_stalled_ms;
        first_out->cause = CAUSE_DISK;
        first_out->since_ms = own->report_ms > stalled_ms ? own->report_ms - stalled_ms : 0;
        first_out->after_ms = own->report_ms;
        return true;
    }
    return false;
}

static bool second_evidence(const struct shard_view *view,
                            const struct observation *observer,
                            const struct first_evidence *first)
{
    const struct report *report = &observer->report;

    if (!observer->heard || observer->report_ms < first->after_ms ||
        report->primary_reach_of.value != view->shard.primary.value ||
        !may_witness(view, observer->instance)) {
        return false;
    }
    switch (report->primary_reach) {
    case REACH_UNKNOWN:
    case REACH_OK:
        return false;
    case REACH_REFUSED:
        return true;
    case REACH_SILENT:
        return !report->receiver_streaming || report->primary_reach_ms >= DETECTOR_REACH_MS;
    }
    return false;
}

/* Second evidence of a disk that hangs: this standby streams from the primary, and was sent nothing
 * new since the first evidence began: not even what the primary's sidecar writes every second. */
static bool starves(const struct shard_view *view,
                    const struct observation *observer,
                    const struct first_evidence *first,
                    uint64_t now_ms)
{
    return first->cause == CAUSE_DISK && observer->heard && may_witness(view, observer->instance) &&
           observer->report.receiver_streaming &&
           observer->report.upstream.value == view->shard.primary.value &&
           now_ms - observer->moved_ms >= DETECTOR_STALL_MS;
}

/* Does new WAL of the primary still arrive here? */
static bool
receives(const struct shard_view *view, const struct observation *observer, uint64_t now_ms)
{
    return streams(view, observer, now_ms) && now_ms - observer->moved_ms < DETECTOR_STALL_MS;
}

/* Does this standby hear the primary now? */
static bool
streams(const struct shard_view *view, const struct observation *observer, uint64_t now_ms)
{
    const struct report *report = &observer->report;

    return observation_is_fresh(observer, now_ms, DETECTOR_STREAM_MS) &&
           report->receiver_streaming && report->upstream.value == view->shard.primary.value &&
           report->receiver_silence_ms + (now_ms - observer->report_ms) < DETECTOR_STREAM_MS;
}

/* An instance of another region than the primary's; any other one where the shard has no such. */
static bool may_witness(const struct shard_view *view, struct instance_id observer)
{
    const struct instance *primary = shard_view_instance(view, view->shard.primary);
    const struct instance *witness = shard_view_instance(view, observer);
    if (primary == NULL || witness == NULL) {
        return false;
    }
    for (uint32_t i = 0; i < view->instances_count; i++) {
        if (strcmp(view->instances[i].region, primary->region) != 0) {
            return strcmp(witness->region, primary->region) != 0;
        }
    }
    return true;
}
