/* SPDX-License-Identifier: Apache-2.0 */
/* See agent.h. The keeper's turn: facts in, at most one action out, until nothing is left to do. */
#include "base/check.h"
#include "base/clock.h"
#include "base/log.h"
#include "base/mem.h"
#include "replication/agent_internal.h"
#include "replication/state_file.h"

#include <inttypes.h>
#include <stdio.h>
#include <string.h>

enum {
    TICK_MS = 50,
    STEPS_PER_TURN_MAX = 16, /* persisting and refusing come in short rows; more is a loop */
    RETRY_MIN_MS = 250,
    RETRY_MAX_MS = 5000,
    LEFT_BEHIND_REPEAT_MS = 10000,
};

static const char MARKS_SUFFIX[] = ".marks"; /* beside the state file */

static void tell_left_behind(struct agent *agent, uint32_t cluster_epoch);
static void agent_turn(struct agent *agent);
static void note_marks(struct agent *agent);
static bool agent_step(struct agent *agent);
static bool agent_persist(struct agent *agent, const struct keeper_action *action);
static void agent_run(struct agent *agent, const struct keeper_action *action);
static void on_action_done(const struct driver_result *result, void *ctx);
static void note_failure(struct agent *agent, enum keeper_action_kind kind, const char *message);
static uint64_t new_incarnation(void);
static void on_tick(uv_timer_t *timer);
static void on_tick_closed(uv_handle_t *handle);
static void on_part_closed(void *ctx);

enum error agent_new(const struct agent_options *options, char *errmsg, struct agent **agent_out)
{
    struct keeper_state state;
    memset(&state, 0, sizeof(state));
    enum error error = state_file_load(options->state_path, &state);
    if (error != ERR_OK && error != ERR_NOT_FOUND) {
        (void)snprintf(errmsg,
                       SIDECAR_ERROR_SIZE,
                       "%s: %s; restore it, or empty the instance's folder to build it anew",
                       options->state_path,
                       error_text(error));
        return error;
    }
    char marks_path[AGENT_PATH_SIZE + sizeof(MARKS_SUFFIX)];
    struct marks marks = {0};
    (void)snprintf(marks_path, sizeof(marks_path), "%s%s", options->state_path, MARKS_SUFFIX);
    error = marks_file_load(marks_path, &marks);
    if (error != ERR_OK && error != ERR_NOT_FOUND) {
        (void)snprintf(errmsg,
                       SIDECAR_ERROR_SIZE,
                       "%.300s: %s; restore it, or empty the instance's folder to build it anew",
                       marks_path,
                       error_text(error));
        return error;
    }
    struct agent *agent = mem_new(sizeof(*agent));
    error = agent_speakers_load(agent, options->members_path, errmsg);
    if (error != ERR_OK) {
        mem_free(agent);
        return error;
    }
    agent->options = *options;
    agent->marks = marks;
    agent->marks_keeper = marks_keeper_new(net_loop(options->net), marks_path);
    agent->report_number = clock_boottime_ns(); /* above all of this machine's earlier ones */
    (void)snprintf(agent->state_path, sizeof(agent->state_path), "%s", options->state_path);
    agent->options.state_path = agent->state_path;
    agent->state = state;
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
    agent->parts_open = 2;
    marks_keeper_free(agent->marks_keeper, on_part_closed, agent);
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
    view_out->state = agent->state;
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
    driver_set_goal(agent->options.driver, goal);
    agent_turn(agent);
}

bool agent_take_cluster_epoch(struct agent *agent, uint32_t cluster_epoch)
{
    struct keeper_state next;
    if (!keeper_may_obey(&agent->state, cluster_epoch, &next)) {
        tell_left_behind(agent, cluster_epoch);
        return false;
    }
    if (next.cluster_epoch == agent->state.cluster_epoch) {
        return true;
    }
    enum error error = state_file_save(agent->state_path, &next);
    if (error != ERR_OK) {
        log_event(LOG_ERROR,
                  "state.not_saved",
                  "path=%s error=%s",
                  log_quote(agent->state_path),
                  error_name(error));
        return false;
    }
    log_event(LOG_WARN, "cluster.recovered", "cluster_epoch=%" PRIu32, cluster_epoch);
    agent->state = next;
    agent->has_goal = false; /* of those left behind; the new leader's comes next */
    return true;
}

/* It is met again and again for as long as it runs. */
static void tell_left_behind(struct agent *agent, uint32_t cluster_epoch)
{
    uint64_t now_ms = clock_monotonic_ms();
    if (agent->left_behind_told_ms != 0 &&
        now_ms - agent->left_behind_told_ms < LEFT_BEHIND_REPEAT_MS) {
        return;
    }
    agent->left_behind_told_ms = now_ms;
    log_event(LOG_ERROR,
              "session.left_behind",
              "cluster_epoch=%" PRIu32 " met=%" PRIu32 " hint=%s",
              cluster_epoch,
              agent->state.cluster_epoch,
              log_quote("this leader was left behind by a forced recovery: stop it, and take its "
                        "address out of cluster.members"));
}

void agent_facts(const struct agent *agent, struct keeper_facts *facts_out)
{
    driver_facts(agent->options.driver, facts_out);
    facts_out->fresh_incarnation = agent->fresh_incarnation;
    facts_out->marks = agent->marks;
    /* Not even prepared for a start: a folder that is not ours any more, a broken configuration. */
    facts_out->cannot_start =
        facts_out->cannot_start || (agent->failed_kind == KEEPER_START && agent->failures > 1);
    facts_out->lease_epoch = lease_holder_running(&agent->lease, clock_boottime_ns());
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
    if (!guard_link_status(agent->options.guard)->connected) {
        lease_holder_give_up(&agent->lease);
    }
    lease_holder_goal(
        &agent->lease, agent->has_goal ? &agent->goal : NULL, agent->state.fenced_epoch);
    agent_session_turn(agent);
}

static void note_marks(struct agent *agent)
{
    struct keeper_facts facts;

    agent_facts(agent, &facts);
    keeper_note_marks(&facts, &agent->state, agent->instance, &agent->marks);
    marks_keeper_give(agent->marks_keeper, &agent->marks);
}

/* One action of the keeper; true if it should be asked again at once. */
static bool agent_step(struct agent *agent)
{
    struct keeper_facts facts;
    struct keeper_action action;
    agent_facts(agent, &facts);
    keeper_step(&facts, &agent->state, agent->has_goal ? &agent->goal : NULL, &action);
    agent->action = action;
    if (action.persist && !agent_persist(agent, &action)) {
        return false;
    }
    switch (action.kind) {
    case KEEPER_NONE:
    case KEEPER_WAIT:
        return action.persist;
    case KEEPER_REFUSE:
        log_event(LOG_WARN,
                  "goal.refused",
                  "epoch=%" PRIu64 " index=%" PRIu64 " obeyed_epoch=%" PRIu64,
                  agent->goal.epoch.value,
                  agent->goal.index,
                  agent->state.epoch.value);
        agent->has_goal = false;
        return false;
    case KEEPER_PERSIST:
        return true;
    case KEEPER_INIT:
    case KEEPER_CLONE:
    case KEEPER_REBUILD:
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
        agent_run(agent, &action);
        return false;
    case KEEPER_ACTION_COUNT:
        break;
    }
    UNREACHABLE("the keeper has no other actions");
}

static bool agent_persist(struct agent *agent, const struct keeper_action *action)
{
    enum error error = state_file_save(agent->state_path, &action->state_next);
    if (error != ERR_OK) {
        (void)snprintf(agent->trouble,
                       sizeof(agent->trouble),
                       "%.150s: %s",
                       agent->state_path,
                       error_text(error));
        log_event(LOG_ERROR,
                  "state.not_saved",
                  "path=%s error=%s",
                  log_quote(agent->state_path),
                  error_name(error));
        return false;
    }
    if (action->state_next.incarnation.value != agent->state.incarnation.value) {
        agent->fresh_incarnation = new_incarnation();
    }
    if (action->state_next.fenced_epoch.value > agent->state.fenced_epoch.value) {
        log_event(LOG_WARN, "epoch.over", "epoch=%" PRIu64, action->state_next.fenced_epoch.value);
        lease_holder_give_up(&agent->lease);
    }
    agent->state = action->state_next;
    return true;
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
        .incarnation = agent->state.incarnation,
    };
    memcpy(request.upstream_address, action->upstream_address, sizeof(request.upstream_address));
    if (agent->has_goal) {
        request.goal = agent->goal;
    }
    enum error error = driver_run(agent->options.driver, &request, on_action_done, agent);
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
