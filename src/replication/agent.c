/* SPDX-License-Identifier: Apache-2.0 */
/* See agent.h. The keeper's turn: facts in, at most one action out, until nothing is left to do. */
#include "base/check.h"
#include "base/clock.h"
#include "base/log.h"
#include "base/mem.h"
#include "replication/agent_internal.h"

#include <inttypes.h>
#include <stdio.h>
#include <string.h>

enum {
    TICK_MS = 50,
    STEPS_PER_TURN_MAX = 16, /* persisting and refusing come in short rows; more is a loop */
    RETRY_MIN_MS = 250,
    RETRY_MAX_MS = 5000,
    DISK_HANGS_MS = 1000, /* less is no news */
};

static void agent_turn(struct agent *agent);
static void note_marks(struct agent *agent);
static bool agent_step(struct agent *agent);
static bool agent_do(struct agent *agent, const struct keeper_action *action);
static void take_state(struct agent *agent, const struct keeper_state *before);
static void agent_run(struct agent *agent, const struct keeper_action *action);
static void on_action_done(const struct driver_result *result, void *ctx);
static void note_failure(struct agent *agent, enum keeper_action_kind kind, const char *message);
static void note_put_aside(struct agent *agent, const char *reason);
static uint64_t new_incarnation(void);
static void on_tick(uv_timer_t *timer);
static void on_tick_closed(uv_handle_t *handle);
static void on_part_closed(void *ctx);

enum error
agent_new(const struct agent_options *options, struct reason *reason, struct agent **agent_out)
{
    struct agent *agent = mem_new(sizeof(*agent));
    agent->options = *options;
    (void)snprintf(agent->state_path, sizeof(agent->state_path), "%s", options->state_path);
    (void)snprintf(agent->members_path, sizeof(agent->members_path), "%s", options->members_path);
    agent->options.state_path = agent->state_path;
    agent->options.members_path = agent->members_path;
    enum error error = agent_keep_load(agent, reason);
    if (error != ERR_OK) {
        mem_free(agent);
        return error;
    }
    agent_keep_start(agent);
    agent->report_number = clock_boottime_ns(); /* above all of this machine's earlier ones */
    agent->fresh_incarnation = new_incarnation();
    lease_holder_init(&agent->lease, clock_boottime_ns());
    CHECK(uv_timer_init(net_loop(options->net), &agent->tick) == 0);
    agent->tick.data = agent;
    CHECK(uv_timer_start(&agent->tick, on_tick, 0, TICK_MS) == 0);
    agent_session_start(agent);
    *agent_out = agent;
    return ERR_OK;
}

void agent_free(struct agent *agent)
{
    agent->closing = true;
    agent_session_stop(agent);
    agent->parts_open = AGENT_KEPT_FILES + 1;
    agent_keep_stop(agent, on_part_closed);
    uv_close((uv_handle_t *)&agent->tick, on_tick_closed);
}

void agent_changed(struct agent *agent)
{
    if (!agent->closing) {
        agent_turn(agent);
    }
}

void agent_view(const struct agent *agent, struct agent_view *view_out)
{
    uint64_t now_ns = clock_boottime_ns();
    memset(view_out, 0, sizeof(*view_out));
    view_out->connected = agent->welcomed;
    memcpy(view_out->leader, agent->leader, sizeof(view_out->leader));
    view_out->has_goal = agent->has_goal;
    view_out->goal = agent->goal;
    view_out->state = agent->turn.state;
    agent_facts(agent, &view_out->facts);
    view_out->lease_epoch = lease_holder_running(&agent->lease, now_ns);
    if (view_out->lease_epoch.value != 0) {
        view_out->lease_left_ms = (agent->lease.deadline_ns - now_ns) / 1000000;
    }
    view_out->action = keeper_action_name(agent->action.kind);
    view_out->reason = agent->action.reason == NULL ? "" : agent->action.reason;
}

void agent_take_goal(struct agent *agent, const struct goal *goal)
{
    marks_merge(&agent->marks, &goal->marks);
    if (agent->has_goal && goal_compare(goal, &agent->goal) < 0) {
        return; /* overtaken on its way */
    }
    bool other = !agent->has_goal || goal->role != agent->goal.role ||
                 goal->epoch.value != agent->goal.epoch.value;
    agent->goal = *goal;
    agent->has_goal = true;
    if (other) {
        log_event(LOG_INFO,
                  "goal.received",
                  "role=%s epoch=%" PRIu64 " index=%" PRIu64 " upstream=%s",
                  goal_role_name(goal->role),
                  goal->epoch.value,
                  goal->index,
                  log_quote(goal->upstream_address));
        agent->failures = 0;
        agent->failed_until_ms = 0;
    }
    engine_set_goal(agent->options.engine, goal);
    agent_turn(agent);
}

void agent_facts(const struct agent *agent, struct keeper_facts *facts_out)
{
    engine_facts(agent->options.engine, facts_out);
    facts_out->fresh_incarnation = agent->fresh_incarnation;
    facts_out->marks = agent->marks;
    /* Not even prepared for a start: a folder that is not ours any more, a broken configuration. */
    facts_out->cannot_start =
        facts_out->cannot_start || (agent->failed_kind == KEEPER_START && agent->failures > 1);
    facts_out->lease_epoch = lease_holder_running(&agent->lease, clock_boottime_ns());
    if (facts_out->concern[0] == '\0') {
        memcpy(facts_out->concern, agent->put_aside, sizeof(facts_out->concern));
    }
    uint64_t waits_ms = agent_keep_waits_ms(agent);
    if (waits_ms >= DISK_HANGS_MS && facts_out->concern[0] == '\0') {
        (void)snprintf(
            facts_out->concern,
            sizeof(facts_out->concern),
            "its state folder's disk hangs: what it is to promise has not become durable "
            "for %" PRIu64 " s",
            waits_ms / 1000);
    }
}

static void agent_turn(struct agent *agent)
{
    if (agent->stepping) {
        return; /* a callback inside a step: the loop below looks again */
    }
    agent->stepping = true;
    int steps = 0;
    while (steps < STEPS_PER_TURN_MAX && agent_step(agent)) {
        steps++;
    }
    agent->stepping = false;
    note_marks(agent);
    if (!guard_link_status(engine_guard(agent->options.engine))->connected) {
        lease_holder_give_up(&agent->lease);
    }
    const struct goal *goal = agent->has_goal ? &agent->goal : NULL;
    lease_holder_goal(
        &agent->lease, keeper_turn_lease(&agent->turn, goal), agent->turn.state.fenced_epoch);
    agent_session_turn(agent);
}

static void note_marks(struct agent *agent)
{
    struct keeper_facts facts;

    agent_facts(agent, &facts);
    keeper_note_marks(&facts, &agent->turn.state, agent->instance, &agent->marks);
    keeper_note_anchor(
        &facts, &agent->turn.state, agent->has_goal ? &agent->goal : NULL, &agent->anchor);
    if (facts.state == INSTANCE_STANDBY && facts.lineage == LINEAGE_PROVEN) {
        agent->led_epoch = keeper_led_epoch(&agent->turn.state);
    }
    agent_keep_marks(agent);
}

/* One action of the keeper; true if it should be asked again at once. */
static bool agent_step(struct agent *agent)
{
    struct keeper_facts facts;
    struct keeper_action action;
    agent_facts(agent, &facts);
    keeper_turn_next(&agent->turn, &facts, agent->has_goal ? &agent->goal : NULL, &action);
    agent->action = agent->turn.saving ? agent->turn.action : action;
    agent_keep_state(agent);
    return agent_do(agent, &action);
}

static bool agent_do(struct agent *agent, const struct keeper_action *action)
{
    switch (action->kind) {
    case KEEPER_NONE:
    case KEEPER_WAIT:
        return false;
    case KEEPER_REFUSE:
        log_event(LOG_WARN,
                  "goal.refused",
                  "epoch=%" PRIu64 " index=%" PRIu64 " obeyed_epoch=%" PRIu64,
                  agent->goal.epoch.value,
                  agent->goal.index,
                  agent->turn.state.epoch.value);
        agent->has_goal = false;
        return false;
    case KEEPER_PERSIST:
        return true;
    case KEEPER_INIT:
    case KEEPER_CLONE:
    case KEEPER_REBUILD:
    case KEEPER_PROVE:
    case KEEPER_START:
    case KEEPER_STOP:
    case KEEPER_FOLLOW:
    case KEEPER_CUT:
    case KEEPER_FINAL_POSITION:
    case KEEPER_PROMOTE:
    case KEEPER_SET_SYNC:
    case KEEPER_SLOTS:
    case KEEPER_CANARY:
    case KEEPER_CONFIRM_SYNC:
    case KEEPER_FENCE:
        agent_run(agent, action);
        return false;
    case KEEPER_ACTION_COUNT:
        break;
    }
    UNREACHABLE("the keeper has no other actions");
}

void agent_state_saved(struct agent *agent, enum error error)
{
    const struct keeper_state before = agent->turn.state;
    struct keeper_facts facts;
    struct keeper_action action;
    agent_facts(agent, &facts);
    keeper_turn_saved(
        &agent->turn, &facts, agent->has_goal ? &agent->goal : NULL, error == ERR_OK, &action);
    if (error != ERR_OK) {
        (void)snprintf(agent->trouble,
                       sizeof(agent->trouble),
                       "%.150s: %s",
                       agent->state_path,
                       error_text(error));
        return; /* the next tick tries again */
    }
    take_state(agent, &before);
    agent->action = action;
    agent->stepping = true;
    (void)agent_do(agent, &action);
    agent->stepping = false;
    agent_welcome_turn(agent);
    agent_turn(agent);
}

static void take_state(struct agent *agent, const struct keeper_state *before)
{
    const struct keeper_state *state = &agent->turn.state;
    if (state->incarnation.value != before->incarnation.value) {
        agent->fresh_incarnation = new_incarnation();
    }
    if (state->fenced_epoch.value > before->fenced_epoch.value) {
        log_event(LOG_WARN, "epoch.over", "epoch=%" PRIu64, state->fenced_epoch.value);
        lease_holder_give_up(&agent->lease);
    }
    if (state->cluster_epoch > before->cluster_epoch) {
        log_event(LOG_WARN, "cluster.recovered", "cluster_epoch=%" PRIu32, state->cluster_epoch);
        agent->has_goal = false; /* of those left behind; the new leader's comes next */
    }
}

static void agent_run(struct agent *agent, const struct keeper_action *action)
{
    uint64_t now_ms = clock_monotonic_ms();
    if (action->kind == agent->failed_kind && now_ms < agent->failed_until_ms) {
        return;
    }
    struct driver_request request = {
        .kind = action->kind,
        .upstream = action->upstream,
        .fence_epoch = action->fence_epoch,
        .incarnation = agent->turn.state.incarnation,
        .anchor = agent->anchor,
        .led_epoch = agent->led_epoch,
        .writable_epoch = agent->turn.state.writable_epoch,
        .office = agent->turn.state.promoted_fork,
    };
    memcpy(request.upstream_address, action->upstream_address, sizeof(request.upstream_address));
    if (agent->has_goal) {
        request.goal = agent->goal;
    }
    if (action->kind == KEEPER_REBUILD) {
        note_put_aside(agent, action->reason);
    }
    enum error error = engine_run(agent->options.engine, &request, on_action_done, agent);
    if (error == ERR_OK) {
        log_event(LOG_INFO,
                  "action.started",
                  "action=%s reason=%s",
                  keeper_action_name(action->kind),
                  log_quote(action->reason));
    } else if (error != ERR_BUSY) {
        note_failure(agent, action->kind, error_text(error));
    }
}

static void on_action_done(const struct driver_result *result, void *ctx)
{
    struct agent *agent = ctx;
    if (result->error == ERR_OK) {
        if (result->kind == KEEPER_START) {
            agent->put_aside[0] = '\0';
        }
        log_event(LOG_INFO, "action.done", "action=%s", keeper_action_name(result->kind));
        /* A fence follows what went wrong and mends nothing of it. */
        if (result->kind != KEEPER_FENCE) {
            agent->failures = 0;
            agent->failed_until_ms = 0;
            agent->trouble[0] = '\0';
        }
    } else if (result->error != ERR_CANCELLED) {
        note_failure(agent, result->kind, result->message);
    }
    agent_changed(agent);
}

static void note_failure(struct agent *agent, enum keeper_action_kind kind, const char *message)
{
    uint64_t pause_ms = (uint64_t)RETRY_MIN_MS << (agent->failures > 5 ? 5 : agent->failures);
    agent->failures++;
    agent->failed_kind = kind;
    agent->failed_until_ms =
        clock_monotonic_ms() + (pause_ms > RETRY_MAX_MS ? RETRY_MAX_MS : pause_ms);
    (void)snprintf(agent->trouble,
                   sizeof(agent->trouble),
                   "%s failed: %.200s",
                   keeper_action_name(kind),
                   message);
    log_event(LOG_WARN,
              "action.failed",
              "action=%s failures=%" PRIu32 " message=%s",
              keeper_action_name(kind),
              agent->failures,
              log_quote(message));
}

/* A copy may take hours, in which whoever looks wonders why it is made. */
static void note_put_aside(struct agent *agent, const char *reason)
{
    struct keeper_facts facts;
    engine_facts(agent->options.engine, &facts);
    bool doubted = facts.lineage == LINEAGE_DOUBTED && facts.concern[0] != '\0';
    (void)snprintf(agent->put_aside,
                   sizeof(agent->put_aside),
                   "the folder before was kept aside: %.200s",
                   doubted ? facts.concern : reason);
}

static uint64_t new_incarnation(void)
{
    uint64_t value = 0;
    uint64_t unused = 0;
    while (value == 0) {
        id128_random(&value, &unused);
    }
    return value;
}

static void on_tick(uv_timer_t *timer)
{
    agent_welcome_turn(timer->data); /* what could not be written is tried again */
    agent_speakers_turn(timer->data);
    agent_turn(timer->data);
}

static void on_tick_closed(uv_handle_t *handle)
{
    on_part_closed(handle->data);
}

static void on_part_closed(void *ctx)
{
    struct agent *agent = ctx;

    if (--agent->parts_open == 0) {
        mem_free(agent);
    }
}
