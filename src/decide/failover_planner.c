/* SPDX-License-Identifier: Apache-2.0 */
/* The next order for one shard's failover, one function per step of the record. When a step cannot
 * go on, failover_restart.c judges whether a new attempt would help. */
#include "decide/failover_planner.h"

#include "base/check.h"
#include "base/log.h"
#include "decide/detector.h"
#include "decide/explain.h"
#include "decide/failover_confirm.h"
#include "decide/failover_restart.h"
#include "decide/placement.h"
#include "decide/witness.h"
#include "model/shard_kind.h"

#include <inttypes.h>
#include <string.h>

static void plan_steady(const struct plan_input *input, struct plan *plan);
static void plan_bootstrap(const struct plan_input *input, struct plan *plan);
static void plan_exclude(const struct plan_input *input, struct plan *plan);
static void plan_complete(const struct plan_input *input, struct plan *plan);
static void plan_decide(const struct plan_input *input, struct plan *plan);
static void plan_promote(const struct plan_input *input, struct plan *plan);
static void plan_open(const struct plan_input *input, struct plan *plan);
static struct command_failover *
order(const struct plan_input *input, struct plan *plan, enum command_kind kind);
static bool
record_quorum(const struct shard_view *view, const struct final_report *reports, uint32_t count);
static bool wanted_is_awaited(const struct plan_input *input,
                              const struct final_report *reports,
                              uint32_t count);
static bool everyone_reported(const struct plan_input *input, uint32_t reports_count);
static void
new_pair(const struct shard_view *view, struct instance_id candidate, struct sync_pair *pair_out);
static uint64_t loss_bound(const struct failover *failover, struct position chosen);

void failover_plan(const struct plan_input *input, struct plan *plan_out)
{
    const struct shard_view *view = input->view;

    plan_out->has_command = false;
    plan_out->detected_ms = 0;
    plan_out->waiting[0] = '\0';
    CHECK(view->shard.id.value != 0);
    if (!shard_kind_is_driven(view->shard.kind)) {
        explain(plan_out->waiting, "shards of this kind are not driven yet");
        return;
    }
    enum failover_step step = view->failover.id == 0 ? FAILOVER_NONE : view->failover.step;
    bool rests_on_cuts =
        step == FAILOVER_EXCLUDE || step == FAILOVER_COMPLETE || step == FAILOVER_DECIDE;
    if (rests_on_cuts && failover_cut_undone(input, plan_out)) {
        return;
    }
    switch (step) {
    case FAILOVER_NONE:
    case FAILOVER_DONE:
    case FAILOVER_ABORTED:
        plan_steady(input, plan_out);
        break;
    case FAILOVER_EXCLUDE:
        plan_exclude(input, plan_out);
        break;
    case FAILOVER_COMPLETE:
        plan_complete(input, plan_out);
        break;
    case FAILOVER_DECIDE:
        plan_decide(input, plan_out);
        break;
    case FAILOVER_PROMOTE:
        plan_promote(input, plan_out);
        break;
    case FAILOVER_OPEN:
        plan_open(input, plan_out);
        break;
    case FAILOVER_STEP_COUNT:
        UNREACHABLE("not a step");
    }
}

static void plan_steady(const struct plan_input *input, struct plan *plan)
{
    if (input->view->shard.primary.value == 0) {
        plan_bootstrap(input, plan);
        return;
    }
    failover_begin_if_needed(input, plan);
    if (!plan->has_command) {
        failover_confirm_if_held(input, plan);
    }
}

static void plan_bootstrap(const struct plan_input *input, struct plan *plan)
{
    char reason[TEXT_SIZE];
    struct instance_id first = placement_bootstrap(
        input->view, input->observations, &input->regions, input->now_ms, reason);
    if (first.value == 0) {
        explain(plan->waiting, "%s", reason);
        return;
    }
    struct command_failover *body = order(input, plan, COMMAND_FAILOVER_BEGIN);
    body->epoch = epoch_next(input->view->shard.epoch, input->cluster_epoch);
    body->cause = CAUSE_BOOTSTRAP;
    explain(body->evidence, "the shard has never had a primary");
    explain(body->reason, "%s", reason);
    plan->detected_ms = input->observations->first_session_ms;
}

/* Exclusion (safety.md 1): fence, quorum in sync mode, clock in async mode only. */
static void plan_exclude(const struct plan_input *input, struct plan *plan)
{
    const struct shard_view *view = input->view;
    const struct failover *failover = &view->failover;
    struct final_report reports[SHARD_INSTANCES_MAX];
    uint32_t count = candidate_final_reports(view, input->observations, reports);
    const struct observation *old = observe_find(input->observations, failover->old_primary);
    enum exclusion_proof proof = PROOF_NONE;

    if (old != NULL && old->heard && old->report.fenced_epoch.value >= failover->old_epoch.value) {
        proof = PROOF_FENCE;
    } else if (failover->in_place) {
        proof = PROOF_NONE;
    } else if (view->shard.mode == SHARD_SYNC && record_quorum(view, reports, count)) {
        proof = PROOF_QUORUM;
    } else if (view->shard.mode == SHARD_ASYNC && input->lease_ended) {
        proof = PROOF_CLOCK;
    }
    if (proof == PROOF_NONE) {
        if (!failover_restart(input, plan)) {
            char missing[TEXT_SIZE];
            witness_missing(input, missing);
            explain(plan->waiting,
                    "exclude %s: %" PRIu32 " of the needed standbys are cut from it, its own fence "
                    "is not reported%s%.150s",
                    explain_instance(view, failover->old_primary),
                    count,
                    view->shard.mode == SHARD_ASYNC ? ", its lease has not ended" : "",
                    failover_drains(failover) ? "; it stops once its standbys have everything"
                                              : missing);
        }
        return;
    }
    struct command_failover *body = order(input, plan, COMMAND_FAILOVER_EXCLUDED);
    body->proof = proof;
    if (proof == PROOF_QUORUM) {
        memcpy(body->reports, reports, count * sizeof(reports[0]));
        body->reports_count = count;
    }
    explain(body->evidence,
            proof == PROOF_FENCE    ? "%s reports itself fenced"
            : proof == PROOF_QUORUM ? "enough of the sync record is cut from %s"
                                    : "the lease of %s has ended",
            explain_instance(view, failover->old_primary));
}

/* Completeness: final positions from enough of every recorded pair; a little patience for others.
 */
static void plan_complete(const struct plan_input *input, struct plan *plan)
{
    const struct shard_view *view = input->view;
    struct final_report reports[SHARD_INSTANCES_MAX];
    uint32_t count = candidate_final_reports(view, input->observations, reports);
    uint64_t waited_ms = input->now_ms - input->observations->step_since_ms;
    struct final_report own = {0};

    if (!view->failover.in_place) {
        bool has_own = witness_own_report(view, input->observations, &own);
        bool enough = (count > 0 || has_own) &&
                      (view->shard.mode == SHARD_ASYNC || record_quorum(view, reports, count));
        if (!enough) {
            if (!failover_restart(input, plan)) {
                witness_explain_few(input, count, plan->waiting);
            }
            return;
        }
        if (!has_own && witness_own_is_coming(input)) {
            explain(plan->waiting, "complete: giving the old primary a moment to report its end");
            return;
        }
        uint64_t patience_ms =
            view->shard.mode == SHARD_SYNC ? PLANNER_GATHER_MS : OBSERVATION_FRESH_MS;
        if (wanted_is_awaited(input, reports, count)) {
            patience_ms = PLANNER_WANTED_MS; /* who was named may be far away */
        }
        if ((!everyone_reported(input, count) && waited_ms < patience_ms) ||
            (has_own && witness_others_may_come(input, count))) {
            explain(plan->waiting, "complete: giving the other standbys a moment to report");
            return;
        }
        /* Once the step is over no later report is taken: whoever lacks a little may be all there
         * is for now, and who holds everything may report a moment later. */
        bool returns = has_own && failover_own_may_lead(view, &own, reports, count);
        if (!returns && !final_reports_have_leader(view, reports, count)) {
            MARK("planner.complete_waits");
            if (!failover_restart(input, plan)) {
                witness_explain_lack(view, reports, count, plan->waiting);
            }
            return;
        }
    }
    struct command_failover *body = order(input, plan, COMMAND_FAILOVER_COMPLETED);
    body->in_place = view->failover.in_place;
    body->marks = input->observations->marks;
    body->own = own;
    if (!view->failover.in_place) {
        memcpy(body->reports, reports, count * sizeof(reports[0]));
        body->reports_count = count;
    }
}

static void plan_decide(const struct plan_input *input, struct plan *plan)
{
    const struct shard_view *view = input->view;
    const struct failover *failover = &view->failover;
    struct candidate_choice choice = {0};

    if (failover->cause == CAUSE_BOOTSTRAP && failover->old_primary.value == 0) {
        choice.instance = placement_bootstrap(
            view, input->observations, &input->regions, input->now_ms, choice.reason);
    } else if (failover->in_place) {
        choice.instance = failover->old_primary;
        explain(choice.reason,
                "%s restarts in place: its own data folder is complete",
                explain_instance(view, choice.instance));
    } else {
        candidate_choose(view, input->observations, &input->regions, input->wanted, &choice);
    }
    if (choice.instance.value == 0) {
        if (!failover_restart(input, plan)) {
            explain(plan->waiting, "decide: %s", choice.reason);
        }
        return;
    }
    struct command_failover *body = order(input, plan, COMMAND_FAILOVER_DECIDED);
    body->candidate = choice.instance;
    body->in_place = failover->in_place;
    explain(body->reason, "%s", choice.reason);
    bool keeps_pair = failover->in_place || failover->cause == CAUSE_BOOTSTRAP;
    if (view->shard.mode == SHARD_ASYNC) {
        body->loss_bound_bytes = loss_bound(failover, choice.position);
    } else if (keeps_pair && view->shard.sync.pairs_count > 0) {
        body->pair = view->shard.sync.pairs[view->shard.sync.pairs_count - 1];
    } else {
        new_pair(view, choice.instance, &body->pair);
    }
}

static void plan_promote(const struct plan_input *input, struct plan *plan)
{
    const struct failover *failover = &input->view->failover;
    const struct observation *candidate = observe_find(input->observations, failover->candidate);

    if (candidate == NULL || !candidate->heard ||
        candidate->report.promoted_epoch.value != failover->epoch.value ||
        candidate->report.promoted_fork.timeline != failover->timeline) {
        if (!failover_restart(input, plan)) {
            explain(plan->waiting,
                    "promote: %s%s",
                    explain_instance(input->view, failover->candidate),
                    candidate == NULL || candidate->session == 0
                        ? " is not connected"
                        : " is being promoted to its reserved timeline");
        }
        return;
    }
    struct command_failover *body = order(input, plan, COMMAND_FAILOVER_PROMOTED);
    body->fork = candidate->report.promoted_fork;
    body->fork.epoch = failover->epoch.value;
    body->system_identifier = candidate->report.system_identifier;
    body->start_nonce = candidate->report.start_nonce;
}

static void plan_open(const struct plan_input *input, struct plan *plan)
{
    const struct failover *failover = &input->view->failover;
    const struct observation *candidate = observe_find(input->observations, failover->candidate);

    if (candidate == NULL || !candidate->heard || !candidate->report.canary_ok ||
        candidate->report.state != INSTANCE_PRIMARY ||
        candidate->report.promoted_epoch.value != failover->epoch.value) {
        if (!failover_restart(input, plan)) {
            explain(plan->waiting,
                    "open: the canary commit of %s has not been seen yet",
                    explain_instance(input->view, failover->candidate));
        }
        return;
    }
    (void)order(input, plan, COMMAND_FAILOVER_OPENED);
}

static struct command_failover *
order(const struct plan_input *input, struct plan *plan, enum command_kind kind)
{
    CHECK(!plan->has_command);
    CHECK(command_kind_body(kind) == COMMAND_BODY_FAILOVER);
    memset(&plan->command, 0, sizeof(plan->command));
    plan->has_command = true;
    plan->command.kind = kind;
    plan->command.failover.shard = input->view->shard.id;
    plan->command.failover.epoch = input->view->failover.epoch;
    return &plan->command.failover;
}

static bool
record_quorum(const struct shard_view *view, const struct final_report *reports, uint32_t count)
{
    struct sync_member members[SHARD_INSTANCES_MAX];

    CHECK(count <= SHARD_INSTANCES_MAX);
    for (uint32_t i = 0; i < count; i++) {
        members[i] = (struct sync_member){.instance = reports[i].instance,
                                          .incarnation = reports[i].incarnation};
    }
    return view->shard.sync.pairs_count > 0 &&
           sync_record_quorum(&view->shard.sync, members, count);
}

static bool wanted_is_awaited(const struct plan_input *input,
                              const struct final_report *reports,
                              uint32_t count)
{
    for (uint32_t i = 0; i < count; i++) {
        if (reports[i].instance.value == input->wanted.value) {
            return false;
        }
    }
    return input->wanted.value != 0;
}

/* Has every standby that is reachable now given its final position? */
static bool everyone_reported(const struct plan_input *input, uint32_t reports_count)
{
    return reports_count >= failover_reachable(input, NULL);
}

/* S' = the reporting, cut members except the candidate; W' = min(W, |S'|), at least 1. */
static void
new_pair(const struct shard_view *view, struct instance_id candidate, struct sync_pair *pair_out)
{
    const struct failover *failover = &view->failover;

    memset(pair_out, 0, sizeof(*pair_out));
    for (uint32_t i = 0; i < failover->reports_count; i++) {
        struct sync_member member = {.instance = failover->reports[i].instance,
                                     .incarnation = failover->reports[i].incarnation};
        /* Who left the history cannot confirm anything, and would not be rebuilt while named. The
         * same for who may have left it, at a fork that was never reported. */
        struct position at = failover->reports[i].position;
        bool follows =
            view->shard.forks_count == 0 ||
            (position_can_follow_history(at, view->shard.forks, view->shard.forks_count) &&
             !position_is_in_gap(at, view->shard.forks, view->shard.forks_count));
        if (follows && member.instance.value != candidate.value &&
            pair_out->members_count < SYNC_SET_MAX) {
            enum error error = sync_pair_add(pair_out, member);
            CHECK(error == ERR_OK || error == ERR_EXISTS);
        }
    }
    pair_out->required = view->shard.sync_required;
    if (pair_out->required > pair_out->members_count) {
        pair_out->required = pair_out->members_count;
    }
    if (pair_out->required < 1) {
        pair_out->required = 1;
    }
}

/* What is known to be stranded on the old primary: what it last reported above the candidate. It
 * may have written more since; that part is bounded in time, by the RPO guard. */
static uint64_t loss_bound(const struct failover *failover, struct position chosen)
{
    if (failover->in_place || failover->acked_floor.timeline != chosen.timeline ||
        failover->acked_floor.lsn <= chosen.lsn) {
        return 0;
    }
    return failover->acked_floor.lsn - chosen.lsn;
}
