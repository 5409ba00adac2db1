/* SPDX-License-Identifier: Apache-2.0 */
/* When to begin a failover, and when to begin again. */
#include "decide/failover_restart.h"

#include "base/check.h"
#include "base/log.h"
#include "decide/detector.h"
#include "decide/explain.h"
#include "decide/failover_retry.h"
#include "decide/failover_wish.h"
#include "decide/lapse_planner.h"
#include "decide/witness.h"

#include <inttypes.h>
#include <string.h>

enum {
    STUCK_DOUBLINGS_MAX = 3,
};

static bool
automatic_is_held(const struct plan_input *input, const struct verdict *verdict, struct plan *plan);
static bool can_be_witnessed(const struct plan_input *input);
static bool can_restart_in_place(const struct plan_input *input, bool redo_matters);
static bool begin_wish(const struct plan_input *input,
                       const struct verdict *verdict,
                       bool enough,
                       struct plan *plan);
static const struct instance *might_be_succeeded(const struct plan_input *input);
static void explain_stand(const struct plan_input *input,
                          const char *evidence,
                          const struct instance *other,
                          struct plan *plan);
static uint64_t returned_ms(const struct plan_input *input, bool enough);
static bool restart_before_decision(const struct plan_input *input, struct plan *plan);
static bool
in_place_ends(const struct plan_input *input, bool enough, bool witnessed, struct plan *plan);
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
    enum failover_way way = WAY_SUCCESSION;
    if (!(fenced && failover_way_of_fenced(input, enough, &way)) && !enough) {
        explain_stand(input, verdict.evidence, fenced ? might_be_succeeded(input) : NULL, plan);
        return;
    }
    if (way == WAY_IN_PLACE && retry_row_is_held(input, enough, verdict.evidence, &way, plan)) {
        return;
    }
    bool asked = input->requested && input->view->shard.frozen;
    failover_begin(input, asked ? CAUSE_OPERATOR : verdict.cause, way, plan);
    explain(plan->command.failover.evidence, "%s", verdict.evidence);
    plan->detected_ms = verdict.first_ms;
}

bool failover_wish_is_possible(const struct plan_input *input, char *why_out)
{
    enum failover_way way = WAY_SUCCESSION;
    bool enough = false;

    if (input->wanted.value != 0 && !failover_target_is_ready(input, why_out)) {
        return false;
    }
    (void)failover_reachable(input, &enough);
    if (!enough && (input->wanted.value != 0 || !failover_way_of_fenced(input, false, &way))) {
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
    enum failover_way way = WAY_SUCCESSION;
    if (!enough && !failover_way_of_fenced(input, false, &way)) {
        return false;
    }
    /* A primary that is dead has nothing to hand over; a frozen shard moves by people's will only.
     */
    bool dead = verdict->cause != CAUSE_NONE && enough && !input->view->shard.frozen;
    failover_begin(input, dead ? verdict->cause : CAUSE_OPERATOR, way, plan);
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
        return retry_after_decision(input, plan);
    case FAILOVER_NONE:
    case FAILOVER_DONE:
    case FAILOVER_ABORTED:
    case FAILOVER_STEP_COUNT:
        return false;
    }
    return false;
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

/* The primary is fenced, and its folder may go on. With much redo the standbys are faster, where
 * there are any to take over (`enough`). */
bool failover_way_of_fenced(const struct plan_input *input, bool enough, enum failover_way *way_out)
{
    if (can_restart_in_place(input, enough)) {
        *way_out = WAY_IN_PLACE;
    } else if (can_be_witnessed(input)) {
        *way_out = WAY_WITNESSED;
    } else {
        return false;
    }
    return true;
}

/* Where its guardian can speak for the folder, or the standbys are wanted for their speed, nobody
 * has to be asked. */
static bool can_be_witnessed(const struct plan_input *input)
{
    return !witness_is_continuous(input) && might_be_succeeded(input) == NULL &&
           witness_may_decide(input);
}

/* Why nothing is begun though the primary is dead. */
static void explain_stand(const struct plan_input *input,
                          const char *evidence,
                          const struct instance *other,
                          struct plan *plan)
{
    char missing[TEXT_SIZE];

    witness_missing(input, missing);
    explain(plan->waiting,
            "%.80s; too few standbys can be reached to take over without losing writes%s%s%.120s",
            evidence,
            other == NULL ? ""
                          : "; nor may it restart in place before it is clear that no forgotten "
                            "decision had made another one the primary: see ",
            other == NULL ? "" : other->name,
            other == NULL ? missing : "");
}

void failover_begin(const struct plan_input *input,
                    enum failover_cause cause,
                    enum failover_way way,
                    struct plan *plan)
{
    const struct observation *own = observe_find(input->observations, input->view->shard.primary);

    CHECK(!plan->has_command);
    memset(&plan->command, 0, sizeof(plan->command));
    plan->has_command = true;
    plan->command.kind = COMMAND_FAILOVER_BEGIN;
    plan->detected_ms = input->now_ms;

    struct command_failover *body = &plan->command.failover;
    body->shard = input->view->shard.id;
    body->epoch = epoch_next(input->view->shard.epoch, input->cluster_epoch);
    body->cause = cause;
    body->in_place = way == WAY_IN_PLACE;
    body->in_place_row = way == WAY_IN_PLACE ? retry_in_place_row(input) : 0;
    body->witnessed = way == WAY_WITNESSED;
    body->start_nonce = way == WAY_IN_PLACE && own != NULL ? own->report.start_nonce : 0;
    body->acked_floor = witness_acked_floor(input);
    body->marks = input->observations->marks;
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
           own->report.data_intact && witness_is_continuous(input) &&
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

/* Patience grows with the number of attempts since the last decision, so that a shard that nobody
 * can lead does not burn epochs. */
uint64_t failover_stuck_ms(const struct plan_input *input)
{
    uint64_t attempts = input->view->shard.epoch.value - input->view->shard.primary_epoch.value;
    uint64_t doublings = attempts < STUCK_DOUBLINGS_MAX ? attempts : STUCK_DOUBLINGS_MAX;

    return (uint64_t)PLANNER_STUCK_MS << (doublings > 0 ? doublings - 1 : 0);
}

/* How long the others have before the old primary, back and fenced, is the way out. */
static uint64_t returned_ms(const struct plan_input *input, bool enough)
{
    uint64_t pause_ms = retry_pause_ms(retry_failures(input));

    if (enough && retry_fewest_failures(input) != UINT32_MAX) {
        return failover_stuck_ms(input);
    }
    return pause_ms > PLANNER_RETURNED_MS ? pause_ms : PLANNER_RETURNED_MS;
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
    bool witnessed = can_be_witnessed(input);
    bool stuck = waited_ms >= failover_stuck_ms(input);
    bool returned = waited_ms >= returned_ms(input, enough);
    if (failover_drains(failover)) {
        struct verdict verdict;
        detect(input->view, input->observations, input->now_ms, &verdict);
        if (!enough || (verdict.cause == CAUSE_NONE && waited_ms < PLANNER_DRAIN_MS)) {
            return false;
        }
        MARK("planner.drain_gave_up");
        failover_begin(input, CAUSE_STUCK, WAY_SUCCESSION, plan);
    } else if (failover->in_place) {
        return (enough || witnessed) && in_place_ends(input, enough, witnessed, plan);
    } else if (can_restart_in_place(input, false) && returned) {
        MARK("planner.old_primary_returned");
        failover_begin(input, CAUSE_STUCK, WAY_IN_PLACE, plan);
    } else if (witnessed && !failover->witnessed && returned) {
        MARK("planner.old_primary_is_asked");
        failover_begin(input, CAUSE_STUCK, WAY_WITNESSED, plan);
    } else if (failover->step == FAILOVER_DECIDE && (enough || witnessed) && stuck) {
        MARK("planner.decide_again");
        failover_begin(input, CAUSE_STUCK, witnessed ? WAY_WITNESSED : WAY_SUCCESSION, plan);
    } else {
        return false;
    }
    tell_what_held_it(input, plan->command.failover.evidence);
    return true;
}

/* A restart in place hangs on one machine: where that is gone by other evidence too, or does not
 * get on, the others take over. */
static bool
in_place_ends(const struct plan_input *input, bool enough, bool witnessed, struct plan *plan)
{
    uint64_t waited_ms = input->now_ms - input->observations->step_since_ms;
    struct verdict verdict;

    detect_gone(input->view, input->observations, input->now_ms, &verdict);
    if (verdict.cause != CAUSE_NONE && enough) {
        MARK("planner.in_place_gone");
        failover_begin(input, verdict.cause, WAY_SUCCESSION, plan);
        explain(plan->command.failover.evidence, "%s", verdict.evidence);
        plan->detected_ms = verdict.first_ms;
        return true;
    }
    if (waited_ms < failover_stuck_ms(input)) {
        return false;
    }
    MARK("planner.in_place_gave_up");
    failover_begin(input, CAUSE_STUCK, witnessed ? WAY_WITNESSED : WAY_SUCCESSION, plan);
    tell_what_held_it(input, plan->command.failover.evidence);
    return true;
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
