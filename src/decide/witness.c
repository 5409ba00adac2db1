/* SPDX-License-Identifier: Apache-2.0 */
/* See decide/witness.h. */
#include "decide/witness.h"

#include "base/check.h"
#include "base/log.h"
#include "decide/explain.h"
#include "decide/failover_restart.h"

#include <inttypes.h>
#include <stdio.h>
#include <string.h>

static const struct observation *own_of(const struct plan_input *input);
static struct position highest_known(const struct shard *shard,
                                     const struct observations *observations);
static const char *why_missing(const struct plan_input *input, struct sync_member member);

bool witness_is_below_mark(const struct shard_view *view,
                           const struct observations *observations,
                           struct sync_member folder,
                           struct position position)
{
    return position_compare(position, marks_of(&observations->marks, folder)) < 0 ||
           position_compare(position, marks_of(&view->failover.marks, folder)) < 0;
}

bool witness_is_continuous(const struct plan_input *input)
{
    const struct shard *shard = &input->view->shard;
    const struct observation *own = own_of(input);

    if (own == NULL || !own->report.continuous || own->report.start_nonce == 0 ||
        own->set_back_nonce == own->report.start_nonce ||
        (shard->primary_nonce != 0 && shard->primary_nonce != own->report.start_nonce)) {
        return false;
    }
    struct position highest = highest_known(shard, input->observations);
    if (own->report.position_final && position_compare(own->report.position, highest) < 0) {
        MARK("witness.older_folder");
        return false;
    }
    return true;
}

bool witness_may_decide(const struct plan_input *input)
{
    const struct observation *own = own_of(input);

    if (own == NULL || !own->report.data_intact) {
        return false;
    }
    /* Async: nobody has to confirm a write, so nobody can be asked for in vain. */
    return input->view->shard.mode == SHARD_ASYNC || failover_reachable_quorum(input);
}

/* The last acknowledged position the primary reported: by itself in this office, or noted by an
 * earlier attempt against the same office of it. */
struct position witness_acked_floor(const struct plan_input *input)
{
    const struct shard *shard = &input->view->shard;
    const struct failover *last = &input->view->failover;
    const struct observation *own = observe_find(input->observations, shard->primary);
    struct position floor = {0};

    if (shard_view_in_failover(input->view) && last->old_primary.value == shard->primary.value &&
        last->old_epoch.value == shard->primary_epoch.value) {
        floor = last->acked_floor;
    }
    if (own != NULL && own->heard &&
        own->report.writable_epoch.value == shard->primary_epoch.value &&
        position_compare(own->report.acked, floor) > 0) {
        floor = own->report.acked;
    }
    /* What others know of it; it may have reported to a leader before this one. */
    const struct position *known = &input->observations->marks.acked;
    if (known->timeline <= shard_timelines_given(shard, input->cluster_epoch) &&
        !shard_left_behind(shard, *known) && position_compare(*known, floor) > 0) {
        floor = *known;
    }
    return floor;
}

bool witness_own_report(const struct shard_view *view,
                        const struct observations *observations,
                        struct final_report *report_out)
{
    const struct failover *failover = &view->failover;
    const struct observation *own = observe_find(observations, failover->old_primary);
    const struct instance *instance = shard_view_instance(view, failover->old_primary);

    if (!failover->witnessed || own == NULL || !own->heard || instance == NULL) {
        return false;
    }
    const struct report *report = &own->report;
    struct position floor = failover_own_floor(failover);
    struct position heard = highest_known(&view->shard, observations);
    if (report->epoch.value != failover->epoch.value || report->goal_role != GOAL_CUT ||
        !report->goal_met || !report->position_final || report->position.timeline == 0 ||
        report->fenced_epoch.value < failover->old_epoch.value ||
        report->incarnation.value != instance->incarnation.value ||
        (view->shard.primary_incarnation.value != 0 &&
         report->incarnation.value != view->shard.primary_incarnation.value)) {
        return false;
    }
    if (position_compare(report->position, floor) < 0 ||
        position_compare(report->position, heard) < 0) {
        MARK("witness.older_folder");
        return false;
    }
    *report_out = (struct final_report){
        .instance = failover->old_primary,
        .incarnation = report->incarnation,
        .position = report->position,
        .replay_lag_bytes = report->replay_lag_bytes,
    };
    return true;
}

bool witness_own_is_coming(const struct plan_input *input)
{
    const struct failover *failover = &input->view->failover;
    const struct observation *own = observe_find(input->observations, failover->old_primary);
    uint64_t waited_ms = input->now_ms - input->observations->step_since_ms;
    /* Async: what it alone holds would be lost. */
    uint64_t patience_ms =
        input->view->shard.mode == SHARD_SYNC ? PLANNER_OWN_MS : PLANNER_STUCK_MS;

    if (!failover->witnessed || waited_ms >= patience_ms ||
        !observation_is_fresh(own, input->now_ms, OBSERVATION_FRESH_MS)) {
        return false;
    }
    const struct report *report = &own->report;
    bool came = report->epoch.value == failover->epoch.value && report->goal_met &&
                report->goal_role == GOAL_CUT && report->position_final;
    bool cannot = report->state == INSTANCE_EMPTY || report->state == INSTANCE_BUILDING;
    return !came && !cannot;
}

bool witness_others_may_come(const struct plan_input *input, uint32_t reports_count)
{
    const struct shard_view *view = input->view;
    uint64_t waited_ms = input->now_ms - input->observations->step_since_ms;
    uint32_t others = 0;

    for (uint32_t i = 0; i < view->instances_count; i++) {
        others += view->instances[i].id.value != view->failover.old_primary.value &&
                  view->instances[i].incarnation.value != 0;
    }
    return view->shard.mode == SHARD_ASYNC && view->failover.witnessed && reports_count < others &&
           waited_ms < PLANNER_RETURNED_MS;
}

void witness_missing(const struct plan_input *input, char *text_out)
{
    const struct sync_record *sync = &input->view->shard.sync;
    struct sync_pair named = {0};
    size_t len = 0;

    text_out[0] = '\0';
    for (uint32_t i = 0; i < sync->pairs_count; i++) {
        for (uint32_t k = 0; k < sync->pairs[i].members_count; k++) {
            struct sync_member member = sync->pairs[i].members[k];
            const char *why = why_missing(input, member);
            if (why == NULL || named.members_count == SYNC_SET_MAX ||
                sync_pair_add(&named, member) != ERR_OK) {
                continue;
            }
            int more = snprintf(text_out + len,
                                TEXT_SIZE - len,
                                "%s %s (%s)",
                                len == 0 ? "; missing:" : ",",
                                explain_instance(input->view, member.instance),
                                why);
            len += more > 0 ? (size_t)more : 0;
            if (len >= TEXT_SIZE) {
                return;
            }
        }
    }
}

void witness_explain_few(const struct plan_input *input, uint32_t count, char *text_out)
{
    char missing[TEXT_SIZE];

    witness_missing(input, missing);
    explain(text_out,
            "complete: %" PRIu32 " final positions are known, more of the sync record must "
            "report%.150s",
            count,
            missing);
}

void witness_explain_lack(const struct shard_view *view,
                          const struct final_report *reports,
                          uint32_t count,
                          char *text_out)
{
    char best[POSITION_TEXT_SIZE];
    char floor[POSITION_TEXT_SIZE];
    uint32_t highest = 0;
    struct position needed = view->shard.floor;

    if (count == 0) {
        explain(text_out,
                "complete: the old primary's own folder may not lead: others must report");
        return;
    }
    for (uint32_t i = 1; i < count; i++) {
        if (position_compare(reports[i].position, reports[highest].position) > 0) {
            highest = i;
        }
    }
    if (view->shard.mode == SHARD_SYNC &&
        position_compare(view->failover.acked_floor, needed) > 0) {
        needed = view->failover.acked_floor;
    }
    explain(text_out,
            "complete: of %" PRIu32 " final positions the highest, %s of %s, %s %s: another "
            "standby or %s must report",
            count,
            position_format(reports[highest].position, best),
            explain_instance(view, reports[highest].instance),
            position_compare(reports[highest].position, needed) < 0
                ? "is below what was acknowledged or promoted,"
                : "is in a region that the shard does not allow; needed is",
            position_format(needed, floor),
            explain_instance(view, view->failover.old_primary));
}

/* What a folder of this shard held once, as far as it still matters. */
static struct position highest_known(const struct shard *shard,
                                     const struct observations *observations)
{
    struct marks marks = observations->marks;

    shard_forget_left_behind(shard, &marks);
    return marks_highest(&marks);
}

/* NULL if it is there, or about to be. */
static const char *why_missing(const struct plan_input *input, struct sync_member member)
{
    const struct observation *heard = observe_find(input->observations, member.instance);

    if (!observation_is_fresh(heard, input->now_ms, OBSERVATION_FRESH_MS)) {
        return "not heard";
    }
    if (heard->report.incarnation.value != member.incarnation.value) {
        return "its data folder is gone";
    }
    /* Nobody starts it: its history is in doubt, or its sidecar cannot promise anything. */
    if (heard->report.state == INSTANCE_STOPPED && !heard->report.position_final &&
        heard->report.concern[0] != '\0') {
        return heard->report.concern;
    }
    if (heard->report.position_final &&
        witness_is_below_mark(input->view, input->observations, member, heard->report.position)) {
        return "holds less than it once acknowledged";
    }
    return shard_view_in_failover(input->view) && !heard->report.position_final
               ? "no final position yet"
               : NULL;
}

/* Fresh, fenced, in its allowed region, with the folder that took office. */
static const struct observation *own_of(const struct plan_input *input)
{
    const struct shard *shard = &input->view->shard;
    const struct observation *own = observe_find(input->observations, shard->primary);
    const struct instance *instance = shard_view_instance(input->view, shard->primary);

    if (instance == NULL || !observation_is_fresh(own, input->now_ms, OBSERVATION_FRESH_MS) ||
        own->report.fenced_epoch.value < shard->primary_epoch.value ||
        own->report.incarnation.value != instance->incarnation.value ||
        (shard->primary_incarnation.value != 0 &&
         shard->primary_incarnation.value != instance->incarnation.value) ||
        !shard_allows_region(shard, instance->region)) {
        return NULL;
    }
    return own;
}
