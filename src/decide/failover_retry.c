/* SPDX-License-Identifier: Apache-2.0 */
/* See failover_retry.h. */
#include "decide/failover_retry.h"

#include "base/check.h"
#include "base/log.h"
#include "decide/detector.h"
#include "decide/explain.h"

#include <inttypes.h>

static uint32_t failures_of(enum failover_way way, uint32_t own, uint32_t fewest);
static void
explain_attempt(const struct plan_input *input, const struct verdict *verdict, char *text_out);

uint64_t retry_pause_ms(uint32_t failures)
{
    uint64_t pause_ms = RETRY_PAUSE_MS;

    if (failures == 0) {
        return 0;
    }
    for (uint32_t i = 1; i < failures && pause_ms < RETRY_PAUSE_MS_MAX; i++) {
        pause_ms *= 2;
    }
    return pause_ms < RETRY_PAUSE_MS_MAX ? pause_ms : RETRY_PAUSE_MS_MAX;
}

uint32_t retry_fewest_failures(const struct plan_input *input)
{
    const struct shard_view *view = input->view;
    uint32_t fewest = UINT32_MAX;

    for (uint32_t i = 0; i < view->instances_count; i++) {
        const struct instance *instance = &view->instances[i];
        const struct observation *heard = observe_find(input->observations, instance->id);
        if (instance->id.value == view->shard.primary.value ||
            !observation_is_fresh(heard, input->now_ms, OBSERVATION_FRESH_MS) ||
            heard->report.incarnation.value != instance->incarnation.value ||
            heard->report.position.timeline == 0) {
            continue;
        }
        struct final_report report = {.instance = instance->id,
                                      .incarnation = instance->incarnation,
                                      .position = heard->report.position};
        if (final_report_may_lead(view, &report, 1, 0) && instance->promotions_failed < fewest) {
            fewest = instance->promotions_failed;
        }
    }
    return fewest;
}

uint32_t retry_failures(const struct plan_input *input)
{
    const struct instance *primary = shard_view_instance(input->view, input->view->shard.primary);

    return primary == NULL ? 0 : primary->promotions_failed;
}

bool retry_candidate_cannot(const struct plan_input *input)
{
    const struct failover *failover = &input->view->failover;
    const struct observation *candidate = observe_find(input->observations, failover->candidate);

    return observation_is_fresh(candidate, input->now_ms, OBSERVATION_FRESH_MS) &&
           candidate->report.epoch.value == failover->epoch.value &&
           candidate->report.goal_role == GOAL_PRIMARY &&
           candidate->report.state != INSTANCE_PRIMARY &&
           (candidate->report.failures >= RETRY_FAILURES_MAX || !candidate->report.data_intact);
}

uint32_t retry_in_place_row(const struct plan_input *input)
{
    const struct failover *last = &input->view->failover;
    const struct observations *observations = input->observations;

    if (last->id == 0 || !last->in_place || last->candidate.value == 0 ||
        last->candidate.value != input->view->shard.primary.value) {
        return 1;
    }
    /* A leader that was elected since does not know when that was: soon before, for all it knows.
     */
    uint64_t done_ms = observations->done_seen ? observations->done_ms : observations->elected_ms;
    if (last->step == FAILOVER_DONE && input->now_ms - done_ms >= RETRY_ROW_MS) {
        return 1;
    }
    return last->in_place_row < UINT32_MAX ? last->in_place_row + 1 : last->in_place_row;
}

/* A database that dies again and again is not well where it is: another instance takes over if one
 * can, else the restarts become rarer. */
bool retry_row_is_held(const struct plan_input *input,
                       bool enough,
                       const char *why,
                       enum failover_way *way,
                       struct plan *plan)
{
    uint32_t row = retry_in_place_row(input);

    CHECK(*way == WAY_IN_PLACE);
    if (row <= RETRY_ROW_MAX) {
        return false;
    }
    if (enough && retry_fewest_failures(input) != UINT32_MAX) {
        MARK("planner.died_in_a_row");
        *way = WAY_SUCCESSION;
        return false;
    }
    return retry_pause_lasts(input, retry_pause_ms(row - RETRY_ROW_MAX), why, plan);
}

/* The candidate counts as the primary since the decision; it is judged like one, without the
 * anti-flap window, by what it says of itself, and by the clock where it merely does not get on.
 * The next to be tried is whoever failed least; who failed before is tried after a pause. */
bool retry_after_decision(const struct plan_input *input, struct plan *plan)
{
    uint64_t waited_ms = input->now_ms - input->observations->step_since_ms;
    struct verdict verdict;
    bool enough = false;

    detect(input->view, input->observations, input->now_ms, &verdict);
    (void)failover_reachable(input, &enough);
    /* Before the first promotion there is nothing that another instance could take over. */
    enough = enough && input->view->shard.forks_count > 0;
    uint32_t fewest = enough ? retry_fewest_failures(input) : UINT32_MAX;
    uint32_t failures = retry_failures(input) + 1;
    enum failover_way way = WAY_SUCCESSION;
    bool fenced =
        verdict.cause == CAUSE_PROCESS && failover_way_of_fenced(input, fewest != UINT32_MAX, &way);
    if (way == WAY_IN_PLACE && failures > fewest) {
        way = WAY_SUCCESSION;
        fenced = false;
    }
    bool cannot = retry_candidate_cannot(input) && fewest != UINT32_MAX;
    bool stuck = waited_ms >= failover_stuck_ms(input);
    if (!fenced && (!enough || (verdict.cause == CAUSE_NONE && !cannot && !stuck))) {
        return false;
    }
    char why[TEXT_SIZE];
    explain_attempt(input, &verdict, why);
    if (retry_pause_lasts(input, retry_pause_ms(failures_of(way, failures, fewest)), why, plan)) {
        return true;
    }
    failover_begin(input, verdict.cause == CAUSE_NONE ? CAUSE_STUCK : verdict.cause, way, plan);
    explain(plan->command.failover.evidence, "%s", why);
    if (verdict.cause != CAUSE_NONE) {
        plan->detected_ms = verdict.first_ms;
    }
    return true;
}

/* Of whoever would be tried: the primary by record, another one, or, where witnesses are asked,
 * whichever of them failed least. */
static uint32_t failures_of(enum failover_way way, uint32_t own, uint32_t fewest)
{
    if (way == WAY_IN_PLACE || (way == WAY_WITNESSED && own < fewest)) {
        return own;
    }
    return fewest == UINT32_MAX ? 0 : fewest;
}

/* Counted from when the present step began, as this leader saw it. */
bool retry_pause_lasts(const struct plan_input *input,
                       uint64_t pause_ms,
                       const char *why,
                       struct plan *plan)
{
    uint64_t waited_ms = input->now_ms - input->observations->step_since_ms;

    if (waited_ms >= pause_ms) {
        return false;
    }
    MARK("planner.paused");
    explain(plan->waiting,
            "%.190s; it failed before: tried again in %.1f s",
            why,
            (double)(pause_ms - waited_ms) / 1000);
    return true;
}

/* Why the candidate did not get through, in the words of its sidecar where there are any. */
static void
explain_attempt(const struct plan_input *input, const struct verdict *verdict, char *text_out)
{
    const struct failover *failover = &input->view->failover;
    const struct observation *candidate = observe_find(input->observations, failover->candidate);
    bool heard = candidate != NULL && candidate->heard && candidate->report.detail[0] != '\0';

    if (verdict->cause != CAUSE_NONE && verdict->cause != CAUSE_PROCESS) {
        explain(text_out, "in step %s: %s", failover_step_name(failover->step), verdict->evidence);
        return;
    }
    explain(text_out,
            "%s did not get through step %s%s%s",
            explain_instance(input->view, failover->candidate),
            failover_step_name(failover->step),
            heard ? ": " : "",
            heard ? candidate->report.detail : "");
}
