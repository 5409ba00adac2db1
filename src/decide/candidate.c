/* SPDX-License-Identifier: Apache-2.0 */
/* Who may become primary. Lawful and complete are rules, and `state` checks them again; best is a
 * wish: reachable, did not fail since the shard was last open, position (async), wanted, never
 * failed on this folder, region, replays least, id, in that order. */
#include "decide/candidate.h"

#include "base/check.h"
#include "decide/explain.h"
#include "decide/placement.h"
#include "decide/witness.h"

#include <inttypes.h>
#include <string.h>

struct ranked {
    const struct final_report *report;
    const struct instance *instance;
    bool reachable;
    bool wanted;
    uint32_t cost;
};

struct choosing {
    const struct shard_view *view;
    const struct observations *observations;
    const struct region_list *regions;
    struct instance_id wanted;
};

static void
consider(const struct choosing *choosing, const struct final_report *report, struct ranked *best);
static bool report_counts(const struct shard_view *view, const struct observation *observation);
static bool is_better(const struct ranked *a, const struct ranked *b);
static void explain_choice(const struct shard_view *view,
                           const struct ranked *best,
                           struct candidate_choice *choice_out);

uint32_t candidate_final_reports(const struct shard_view *view,
                                 const struct observations *observations,
                                 struct final_report *reports_out)
{
    uint32_t count = 0;

    /* In the order of the view, so that the same reports make the same command. */
    for (uint32_t i = 0; i < view->instances_count; i++) {
        const struct observation *observation = observe_find(observations, view->instances[i].id);
        if (observation == NULL || !report_counts(view, observation) ||
            observation->report.incarnation.value != view->instances[i].incarnation.value ||
            witness_is_below_mark(
                view,
                observations,
                (struct sync_member){view->instances[i].id, observation->report.incarnation},
                observation->report.position)) {
            continue;
        }
        CHECK(count < SHARD_INSTANCES_MAX);
        reports_out[count++] = (struct final_report){
            .instance = view->instances[i].id,
            .incarnation = observation->report.incarnation,
            .position = observation->report.position,
            .replay_lag_bytes = observation->report.replay_lag_bytes,
        };
    }
    return count;
}

void candidate_choose(const struct shard_view *view,
                      const struct observations *observations,
                      const struct region_list *regions,
                      struct instance_id wanted,
                      struct candidate_choice *choice_out)
{
    const struct failover *failover = &view->failover;
    const struct choosing choosing = {
        .view = view, .observations = observations, .regions = regions, .wanted = wanted};
    struct ranked best = {0};

    memset(choice_out, 0, sizeof(*choice_out));
    for (uint32_t i = 0; i < failover->reports_count; i++) {
        if (final_report_may_lead(view, failover->reports, failover->reports_count, i)) {
            consider(&choosing, &failover->reports[i], &best);
        }
    }
    if (failover->own.instance.value != 0 &&
        failover_own_may_lead(view, &failover->own, failover->reports, failover->reports_count)) {
        consider(&choosing, &failover->own, &best);
    }
    explain_choice(view, &best, choice_out);
}

const struct observation *candidate_unfinished(const struct shard_view *view,
                                               const struct observations *observations)
{
    for (uint32_t i = 0; i < view->instances_count; i++) {
        const struct observation *heard = observe_find(observations, view->instances[i].id);
        if (heard != NULL && heard->heard && heard->session != 0 &&
            heard->instance.value != view->failover.old_primary.value &&
            heard->report.epoch.value == view->failover.epoch.value &&
            !report_counts(view, heard)) {
            return heard;
        }
    }
    return NULL;
}

static void
consider(const struct choosing *choosing, const struct final_report *report, struct ranked *best)
{
    const struct shard_view *view = choosing->view;
    const struct instance *instance = shard_view_instance(view, report->instance);
    const struct observation *heard = observe_find(choosing->observations, report->instance);
    struct instance_id wanted = choosing->wanted;

    CHECK(instance != NULL);
    struct ranked ranked = {
        .report = report,
        .instance = instance,
        .reachable = heard != NULL && heard->session != 0 &&
                     heard->report.incarnation.value == report->incarnation.value,
        .wanted = wanted.value != 0 && wanted.value == report->instance.value,
        .cost = placement_cost(&view->shard, choosing->regions, instance->region),
    };
    CHECK(ranked.cost != UINT32_MAX);
    if (best->report == NULL || is_better(&ranked, best)) {
        *best = ranked;
    }
}

static bool report_counts(const struct shard_view *view, const struct observation *observation)
{
    const struct report *report = &observation->report;

    return observation->heard && report->epoch.value == view->failover.epoch.value &&
           report->goal_role == GOAL_CUT && report->goal_met && report->position_final &&
           report->cut_from.value == view->failover.old_primary.value &&
           report->position.timeline != 0 && report->incarnation.value != 0;
}

static bool is_better(const struct ranked *a, const struct ranked *b)
{
    if (a->reachable != b->reachable) {
        return a->reachable;
    }
    if (a->instance->promotions_failed != b->instance->promotions_failed) {
        return a->instance->promotions_failed < b->instance->promotions_failed;
    }
    int order = position_compare(a->report->position, b->report->position);
    if (order != 0) {
        return order > 0;
    }
    if (a->wanted != b->wanted) {
        return a->wanted;
    }
    bool failed = a->instance->promotion_trouble[0] != '\0';
    if (failed != (b->instance->promotion_trouble[0] != '\0')) {
        return !failed;
    }
    if (a->cost != b->cost) {
        return a->cost < b->cost;
    }
    if (a->report->replay_lag_bytes != b->report->replay_lag_bytes) {
        return a->report->replay_lag_bytes < b->report->replay_lag_bytes;
    }
    return a->report->instance.value < b->report->instance.value;
}

static void explain_choice(const struct shard_view *view,
                           const struct ranked *best,
                           struct candidate_choice *choice_out)
{
    char text[POSITION_TEXT_SIZE];

    if (best->report == NULL) {
        explain(choice_out->reason,
                "nobody among %" PRIu32
                " reports is lawful and complete (floor %s): waiting for the "
                "old primary or an operator",
                view->failover.reports_count,
                position_format(view->shard.floor, text));
        return;
    }
    if (!best->reachable) {
        explain(choice_out->reason,
                "%s holds everything but is not connected now",
                explain_instance(view, best->report->instance));
        return;
    }
    choice_out->instance = best->report->instance;
    choice_out->position = best->report->position;
    explain(choice_out->reason,
            "%s: highest final position %s among %" PRIu32 " reports%s",
            explain_instance(view, best->report->instance),
            position_format(best->report->position, text),
            view->failover.reports_count,
            best->wanted ? ", and asked for by the operator" : "");
}
