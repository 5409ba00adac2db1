/* SPDX-License-Identifier: Apache-2.0 */
/* When to begin a failover, and when to begin again. */
#include "decide/failover_restart.h"

#include "base/check.h"
#include "base/log.h"
#include "decide/detector.h"
#include "decide/explain.h"
#include "decide/failover_wish.h"
#include "decide/lapse_planner.h"

#include <inttypes.h>
#include <string.h>

enum {
    STUCK_DOUBLINGS_MAX = 3,
};

static bool
automatic_is_held(const struct plan_input *input, const struct verdict *verdict, struct plan *plan);
static bool can_restart_in_place(const struct plan_input *input, bool redo_matters);
static bool begin_wish(const struct plan_input *input,
                       const struct verdict *verdict,
                       bool enough,
                       struct plan *plan);
static const struct instance *might_be_succeeded(const struct plan_input *input);
static struct position acked_floor(const struct plan_input *input);
static bool restart_before_decision(const struct plan_input *input, struct plan *plan);
static bool restart_after_decision(const struct plan_input *input, struct plan *plan);
static bool cannot_start(const struct plan_input *input);
static void tell_what_held_it(const struct plan_input *input, char *evidence);

void failover_begin_if_needed(const struct plan_input *input, struct plan *plan)
{
    struct verdict verdict;
    bool enough = false;

    detect(input->view, input->observations, input->now_ms, &verdict);
    (void)failover_reachable(input, &enough);
    /* Before any verdict: who asks is answered also on a frozen shard, and with what was asked. */
    if (input->requested && begin_wish(input, &verdict, enough, plan)) {
        return;
    }
    if (verdict.cause == CAUSE_NONE) {
        if (!input->requested) {
            explain(plan->waiting, "%s", verdict.suspect ? verdict.evidence : "");
        }
        return;
    }
    if (automatic_is_held(input, &verdict, plan)) {
        return;
    }
    bool fenced = verdict.cause == CAUSE_PROCESS;
    bool in_place = fenced && can_restart_in_place(input, enough);
    if (!enough && !in_place) {
        const struct instance *other = fenced ? might_be_succeeded(input) : NULL;
        explain(plan->waiting,
                "%s; too few standbys can be reached to take over without losing writes%s%s",
                verdict.evidence,
                other == NULL ? ""
                              : "; nor may it restart in place before it is clear that no "
                                "forgotten decision had made another one the primary: see ",
                other == NULL ? "" : other->name);
        return;
    }
    bool asked = input->requested && input->view->shard.frozen;
    failover_begin(input, asked ? CAUSE_OPERATOR : verdict.cause, in_place, plan);
    explain(plan->command.failover.evidence, "%s", verdict.evidence);
    plan->detected_ms = verdict.first_ms;
}

bool failover_wish_is_possible(const struct plan_input *input, char *why_out)
{
    bool enough = false;

    if (input->wanted.value != 0 && !failover_target_is_ready(input, why_out)) {
        return false;
    }
    (void)failover_reachable(input, &enough);
    if (!enough && (input->wanted.value != 0 || !can_restart_in_place(input, false))) {
        explain(why_out,
                "too few standbys can be reached to take over without losing writes: nothing was "
                "changed");
        return false;
    }
    return true;
}

/* What an operator asked for. Where nobody can take over, a primary that is fenced with its data
 * whole starts again: all that can be done, and more than nothing. */
static bool begin_wish(const struct plan_input *input,
                       const struct verdict *verdict,
                       bool enough,
                       struct plan *plan)
{
    char why[TEXT_SIZE] = "";

    if (!failover_wish_is_possible(input, why)) {
        explain(plan->waiting, "a failover was asked for, but %s", why);
        return false;
    }
    /* A primary that is dead has nothing to hand over; a frozen shard moves by people's will only.
     */
    bool dead = verdict->cause != CAUSE_NONE && enough && !input->view->shard.frozen;
    failover_begin(input, dead ? verdict->cause : CAUSE_OPERATOR, !enough, plan);
    explain(plan->command.failover.evidence,
            "%s%s%s",
            input->request_reason,
            dead ? "; " : "",
            dead ? verdict->evidence : "");
    return true;
}

bool failover_restart(const struct plan_input *input, struct plan *plan)
{
    CHECK(shard_view_in_failover(input->view));
    CHECK(!plan->has_command);

    switch (input->view->failover.step) {
    case FAILOVER_EXCLUDE:
    case FAILOVER_COMPLETE:
    case FAILOVER_DECIDE:
        return restart_before_decision(input, plan);
    case FAILOVER_PROMOTE:
    case FAILOVER_OPEN:
        return restart_after_decision(input, plan);
    case FAILOVER_NONE:
    case FAILOVER_DONE:
    case FAILOVER_ABORTED:
    case FAILOVER_STEP_COUNT:
        return false;
    }
    return false;
}

uint32_t failover_reachable(const struct plan_input *input, bool *enough_out)
{
    const struct shard_view *view = input->view;
    struct sync_member members[SHARD_INSTANCES_MAX];
    uint32_t count = 0;
    bool lawful = false;

    for (uint32_t i = 0; i < view->instances_count; i++) {
        const struct instance *instance = &view->instances[i];
        if (!failover_can_report(input, instance)) {
            continue;
        }
        CHECK(count < SHARD_INSTANCES_MAX);
        lawful = lawful || shard_allows_region(&view->shard, instance->region);
        members[count++] =
            (struct sync_member){.instance = instance->id, .incarnation = instance->incarnation};
    }
    if (enough_out != NULL) {
        *enough_out = lawful && (view->shard.mode == SHARD_ASYNC ||
                                 sync_record_quorum(&view->shard.sync, members, count));
    }
    return count;
}

bool failover_can_report(const struct plan_input *input, const struct instance *instance)
{
    const struct observation *heard = observe_find(input->observations, instance->id);

    return instance->id.value != input->view->shard.primary.value &&
           instance->incarnation.value != 0 &&
           observation_is_fresh(heard, input->now_ms, OBSERVATION_FRESH_MS) &&
           heard->report.incarnation.value == instance->incarnation.value &&
           heard->report.position.timeline != 0 && heard->report.state != INSTANCE_EMPTY &&
           heard->report.state != INSTANCE_BUILDING;
}

/* Frozen by people, or too soon after the last one. A fence report is proof and waits for nothing:
 * the shard has no primary anyway. */
static bool
automatic_is_held(const struct plan_input *input, const struct verdict *verdict, struct plan *plan)
{
    const struct observations *observations = input->observations;

    if (input->view->shard.frozen) {
        explain(plan->waiting, "%s; the shard is frozen", verdict->evidence);
        return true;
    }
    /* A shard's birth is no failover. */
    if (verdict->cause != CAUSE_PROCESS && observations->done_seen &&
        input->view->failover.cause != CAUSE_BOOTSTRAP &&
        input->now_ms - observations->done_ms < PLANNER_FLAP_MS) {
        MARK("planner.anti_flap");
        uint64_t since_ms = input->now_ms - observations->done_ms;
        explain(plan->waiting,
                "%.150s; held for %.1f s more: the last failover ended %.1f s ago",
                verdict->evidence,
                (double)(PLANNER_FLAP_MS - since_ms) / 1000,
                (double)since_ms / 1000);
        return true;
    }
    return false;
}

void failover_begin(const struct plan_input *input,
                    enum failover_cause cause,
                    bool in_place,
                    struct plan *plan)
{
    CHECK(!plan->has_command);
    memset(&plan->command, 0, sizeof(plan->command));
    plan->has_command = true;
    plan->command.kind = COMMAND_FAILOVER_BEGIN;
    plan->detected_ms = input->now_ms;

    struct command_failover *body = &plan->command.failover;
    body->shard = input->view->shard.id;
    body->epoch = epoch_next(input->view->shard.epoch, input->cluster_epoch);
    body->cause = cause;
    body->in_place = in_place;
    body->acked_floor = acked_floor(input);
    lapse_known(input, body->could_lose);
}

/* The primary by record is fenced, here, with its data whole. With much redo the standbys are
 * faster, where there are any to take over (`redo_matters`). */
static bool can_restart_in_place(const struct plan_input *input, bool redo_matters)
{
    const struct shard *shard = &input->view->shard;
    const struct observation *own = observe_find(input->observations, shard->primary);
    const struct instance *instance = shard_view_instance(input->view, shard->primary);

    if (!observation_is_fresh(own, input->now_ms, OBSERVATION_FRESH_MS) || instance == NULL ||
        might_be_succeeded(input) != NULL || !shard_allows_region(shard, instance->region) ||
        own->report.incarnation.value != instance->incarnation.value) {
        return false;
    }
    return own->report.fenced_epoch.value >= shard->primary_epoch.value &&
           own->report.data_intact &&
           (!redo_matters || own->report.redo_bytes <= PLANNER_REDO_BYTES_MAX);
}

/* After a forced recovery the primary by record may have had a successor that nobody remembers, and
 * lacks what that one acknowledged. Who stands on a timeline that the record does not know was
 * there, and who is not heard may have been it. NULL once that can be excluded, or the shard has
 * had a decision since. */
static const struct instance *might_be_succeeded(const struct plan_input *input)
{
    const struct shard_view *view = input->view;
    uint32_t known = view->shard.timeline_reserved;

    if (shard_timelines_given(&view->shard, input->cluster_epoch) == known) {
        return NULL;
    }
    for (uint32_t i = 0; i < view->instances_count; i++) {
        const struct instance *instance = &view->instances[i];
        const struct observation *heard = observe_find(input->observations, instance->id);
        bool own = instance->id.value == view->shard.primary.value;
        bool fresh = observation_is_fresh(heard, input->now_ms, OBSERVATION_FRESH_MS) &&
                     (own || heard->report.position.timeline != 0);
        if (!fresh || heard->report.position.timeline > known) {
            MARK("planner.forgotten_successor");
            return instance;
        }
    }
    return NULL;
}

/* The last acknowledged position the primary reported: by itself in this office, or noted by an
 * earlier attempt against the same office of it. */
static struct position acked_floor(const struct plan_input *input)
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
    return floor;
}

/* Patience grows with the number of attempts since the last decision, so that a shard that nobody
 * can lead does not burn epochs. */
uint64_t failover_stuck_ms(const struct plan_input *input)
{
    uint64_t attempts = input->view->shard.epoch.value - input->view->shard.primary_epoch.value;
    uint64_t doublings = attempts < STUCK_DOUBLINGS_MAX ? attempts : STUCK_DOUBLINGS_MAX;

    return (uint64_t)PLANNER_STUCK_MS << (doublings > 0 ? doublings - 1 : 0);
}

/* The old primary stands in the way, or too few report. Other instances may be here now; or it is
 * back itself, fenced: then its own folder is the way out. */
static bool restart_before_decision(const struct plan_input *input, struct plan *plan)
{
    const struct failover *failover = &input->view->failover;
    uint64_t waited_ms = input->now_ms - input->observations->step_since_ms;
    bool enough = false;

    if (failover->cause == CAUSE_BOOTSTRAP && failover->old_primary.value == 0) {
        return false;
    }
    (void)failover_reachable(input, &enough);
    if (failover_drains(failover)) {
        struct verdict verdict;
        detect(input->view, input->observations, input->now_ms, &verdict);
        if (!enough || (verdict.cause == CAUSE_NONE && waited_ms < PLANNER_DRAIN_MS)) {
            return false;
        }
        MARK("planner.drain_gave_up");
        failover_begin(input, CAUSE_STUCK, false, plan);
    } else if (failover->in_place) {
        if (waited_ms < failover_stuck_ms(input) || !enough) {
            return false;
        }
        MARK("planner.in_place_gave_up");
        failover_begin(input, CAUSE_STUCK, false, plan);
    } else if (can_restart_in_place(input, false) &&
               waited_ms >= (enough ? failover_stuck_ms(input) : PLANNER_RETURNED_MS)) {
        MARK("planner.old_primary_returned");
        failover_begin(input, CAUSE_STUCK, true, plan);
    } else if (failover->step == FAILOVER_DECIDE && enough &&
               waited_ms >= failover_stuck_ms(input)) {
        MARK("planner.decide_again");
        failover_begin(input, CAUSE_STUCK, false, plan);
    } else {
        return false;
    }
    tell_what_held_it(input, plan->command.failover.evidence);
    return true;
}

/* The folder that was to be restarted in place does not start: nobody waits for it. */
static bool cannot_start(const struct plan_input *input)
{
    const struct shard *shard = &input->view->shard;
    const struct observation *own = observe_find(input->observations, shard->primary);

    return observation_is_fresh(own, input->now_ms, OBSERVATION_FRESH_MS) &&
           own->report.epoch.value == shard->epoch.value && !own->report.data_intact;
}

/* For the record: an attempt that ends where it began did not simply succeed. */
static void tell_what_held_it(const struct plan_input *input, char *evidence)
{
    const struct failover *failover = &input->view->failover;
    const struct observation *late =
        failover->in_place ? NULL : candidate_unfinished(input->view, input->observations);

    explain(evidence,
            "attempt of epoch %" PRIu64 " (%s) did not get through step %s%s%s%s%s",
            failover->epoch.value,
            failover_cause_name(failover->cause),
            failover_step_name(failover->step),
            late != NULL ? "; " : "",
            late != NULL ? explain_instance(input->view, late->instance) : "",
            late != NULL ? ": " : "",
            late != NULL ? late->report.detail : "");
}

/* The candidate counts as the primary since the decision; it is judged like one, without the
 * anti-flap window, and by the clock where it merely does not get on. */
static bool restart_after_decision(const struct plan_input *input, struct plan *plan)
{
    const struct failover *failover = &input->view->failover;
    uint64_t waited_ms = input->now_ms - input->observations->step_since_ms;
    struct verdict verdict;
    bool enough = false;

    detect(input->view, input->observations, input->now_ms, &verdict);
    (void)failover_reachable(input, &enough);
    /* Before the first promotion there is nothing that another instance could take over. */
    enough = enough && input->view->shard.forks_count > 0;
    bool in_place = verdict.cause == CAUSE_PROCESS && can_restart_in_place(input, enough);
    bool stuck = waited_ms >= failover_stuck_ms(input) || cannot_start(input);
    if (verdict.cause != CAUSE_NONE && (enough || in_place)) {
        failover_begin(input, verdict.cause, in_place, plan);
        explain(plan->command.failover.evidence, "%s", verdict.evidence);
        plan->detected_ms = verdict.first_ms;
        return true;
    }
    if (stuck && enough) {
        failover_begin(input, CAUSE_STUCK, false, plan);
        explain(plan->command.failover.evidence,
                "%s did not get through step %s in %" PRIu64 " ms",
                explain_instance(input->view, failover->candidate),
                failover_step_name(failover->step),
                waited_ms);
        return true;
    }
    return false;
}
