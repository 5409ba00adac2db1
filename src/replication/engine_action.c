/* SPDX-License-Identifier: Apache-2.0 */
/* The keeper's actions, one at a time: a step of the guardian, work on the action thread, a step of
 * the guardian, then a look, so that the facts that follow are later than the action. A fence takes
 * no part in the queue: it cancels what runs and goes to the guardian at once. */
#include "replication/engine_internal.h"

#include "base/check.h"
#include "base/clock.h"
#include "base/failpoint.h"
#include "base/log.h"

#include <inttypes.h>
#include <stdio.h>

enum {
    STOP_MS = 5000,
    STOP_NOW_MS = 1,
    STOP_HUNG_MS = 300, /* what hangs will hardly shut down in an orderly way */
};

static bool is_for_a_driver(enum keeper_action_kind kind);
static bool can(const struct driver_caps *caps, enum keeper_action_kind kind);
static enum error begin(struct engine *engine);
static enum error tell_members(struct engine *engine, guard_done *done);
static uint32_t stop_bound_ms(const struct engine *engine);
static void begin_work(struct engine *engine);
static void on_guard_before(enum error error, const struct guard_status *status, void *ctx);
static enum error work_on(struct work *work, void *job);
static void on_worked(enum error error, const char *message, void *job);
static bool is_held_up(const struct engine *engine, enum error error);
static void on_guard_after(enum error error, const struct guard_status *status, void *ctx);
static void end(struct engine *engine, enum error error, const char *message);

enum error engine_run(struct engine *engine,
                      const struct driver_request *request,
                      driver_done *done,
                      void *ctx)
{
    if (request->kind == KEEPER_FENCE) {
        return engine_fence(engine, request->fence_epoch, done, ctx);
    }
    if (!is_for_a_driver(request->kind)) {
        return ERR_INVALID;
    }
    if (!can(&engine->driver->kind->caps, request->kind)) {
        return ERR_UNIMPLEMENTED;
    }
    if (engine->action.phase != ENGINE_IDLE || engine->fencing ||
        (request->kind == KEEPER_START && engine_start_waits(engine))) {
        return ERR_BUSY;
    }
    engine->action = (struct engine_action){
        .request = *request, .done = done, .ctx = ctx, .begun_ms = clock_monotonic_ms()};
    enum error error = begin(engine);
    if (error != ERR_OK) {
        engine->action.phase = ENGINE_IDLE;
    }
    return error;
}

/* The action ends with the first look that was begun after it; if the database does not answer any
 * more, with the look that found this. */
void engine_advance(struct engine *engine)
{
    struct engine_action *action = &engine->action;

    if (action->phase != ENGINE_LOOK) {
        return;
    }
    if (engine->look_begun_ms < action->ended_ms) {
        engine_look_now(engine);
        return;
    }
    struct driver_result result = {
        .kind = action->request.kind, .error = action->error, .message = action->message};
    driver_done *done = action->done;
    log_event(LOG_INFO,
              "driver.done",
              "action=%s error=%s worked_ms=%" PRIu64 " took_ms=%" PRIu64,
              keeper_action_name(action->request.kind),
              error_name(action->error),
              action->ended_ms - action->begun_ms,
              clock_monotonic_ms() - action->begun_ms);
    action->phase = ENGINE_IDLE;
    done(&result, action->ctx);
}

static bool is_for_a_driver(enum keeper_action_kind kind)
{
    switch (kind) {
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
        return true;
    case KEEPER_NONE:
    case KEEPER_WAIT:
    case KEEPER_REFUSE:
    case KEEPER_PERSIST:
    case KEEPER_FENCE:
    case KEEPER_ACTION_COUNT:
        break;
    }
    return false;
}

/* What it cannot is never asked for: the facts say that it was done (engine_facts.c), and only an
 * async shard has such a database. */
static bool can(const struct driver_caps *caps, enum keeper_action_kind kind)
{
    bool quorum = kind == KEEPER_SET_SYNC || kind == KEEPER_CANARY || kind == KEEPER_CONFIRM_SYNC;
    return (caps->sync_quorum || !quorum) && (caps->slots || kind != KEEPER_SLOTS);
}

static enum error begin(struct engine *engine)
{
    struct engine_action *action = &engine->action;
    const struct guard_status *guard = guard_link_status(engine->guard);
    const struct driver_now now = engine_now(engine);

    switch (action->request.kind) {
    case KEEPER_STOP:
    case KEEPER_REBUILD:
        FAILPOINT("engine.stop.before");
        TRY(guard_link_stop(engine->guard, stop_bound_ms(engine), on_guard_before, engine));
        action->phase = ENGINE_GUARD_BEFORE;
        break;
    case KEEPER_SET_SYNC:
        if (guard->page) {
            TRY(tell_members(engine, on_guard_before));
            action->phase = ENGINE_GUARD_BEFORE;
        }
        break;
    case KEEPER_PROMOTE:
        if (guard->page) {
            TRY(tell_members(engine, NULL));
        }
        FAILPOINT("engine.writable.before");
        TRY(guard_link_writable(
            engine->guard, action->request.goal.epoch, on_guard_before, engine));
        action->phase = ENGINE_GUARD_BEFORE;
        break;
    case KEEPER_INIT:
    case KEEPER_CLONE:
    case KEEPER_PROVE:
    case KEEPER_START:
        if (!guard->connected || guard->running || guard->killing) {
            return ERR_PRECONDITION;
        }
        break;
    case KEEPER_FOLLOW:
    case KEEPER_CUT:
    case KEEPER_FINAL_POSITION:
    case KEEPER_SLOTS:
    case KEEPER_CANARY:
    case KEEPER_CONFIRM_SYNC:
    case KEEPER_NONE:
    case KEEPER_WAIT:
    case KEEPER_REFUSE:
    case KEEPER_PERSIST:
    case KEEPER_FENCE:
    case KEEPER_ACTION_COUNT:
        break;
    }
    engine->driver->kind->begin(engine->driver, &action->request, &now);
    if (action->phase == ENGINE_IDLE) {
        begin_work(engine);
    }
    return ERR_OK;
}

/* Whom the database's gate counts, before anything is done under it. A promotion has nobody on
 * record yet: until SET_SYNC its commits wait. */
static enum error tell_members(struct engine *engine, guard_done *done)
{
    const struct driver_request *request = &engine->action.request;
    const struct sync_pair *pair = &request->goal.sync;
    struct guard_members members = {.request = {.epoch = request->goal.epoch.value}};

    members.sync = request->goal.mode == SHARD_SYNC ? 1 : 0;
    if (request->kind == KEEPER_SET_SYNC && members.sync != 0) {
        members.required = pair->required;
        members.count = pair->members_count;
        for (uint32_t i = 0; i < pair->members_count; i++) {
            (void)sync_member_name(request->goal.shard, pair->members[i], members.names[i]);
        }
    }
    return guard_link_members(engine->guard, &members, done, engine);
}

static uint32_t stop_bound_ms(const struct engine *engine)
{
    return engine_now(engine).state == INSTANCE_HUNG ? STOP_HUNG_MS : STOP_MS;
}

static void begin_work(struct engine *engine)
{
    engine->action.phase = ENGINE_WORK;
    worker_run(engine->actions, work_on, on_worked, engine);
}

static void on_guard_before(enum error error, const struct guard_status *status, void *ctx)
{
    struct engine *engine = ctx;

    (void)status;
    FAILPOINT_IF(engine->action.request.kind == KEEPER_STOP, "engine.stop.after");
    FAILPOINT_IF(engine->action.request.kind == KEEPER_PROMOTE, "engine.writable.after");
    if (error != ERR_OK) {
        end(engine, error, "the guardian refused");
    } else if (engine->action.request.kind == KEEPER_STOP) {
        end(engine, ERR_OK, "");
    } else {
        begin_work(engine);
    }
}

/* On the action thread. */
static enum error work_on(struct work *work, void *job)
{
    struct engine *engine = job;

    return engine->driver->kind->act(work, engine->driver, &engine->action.start);
}

static void on_worked(enum error error, const char *message, void *job)
{
    struct engine *engine = job;

    if (engine->closing) {
        return;
    }
    if (error == ERR_OK && engine->action.request.kind == KEEPER_START) {
        engine->action.phase = ENGINE_GUARD_AFTER;
        error = FAILPOINT_AROUND(
            "engine.start",
            guard_link_start(engine->guard, &engine->action.start, on_guard_after, engine));
        message = "no guardian to start the database";
        if (error == ERR_OK) {
            return;
        }
    } else if (is_held_up(engine, error) &&
               guard_link_stop(engine->guard, STOP_NOW_MS, on_guard_after, engine) == ERR_OK) {
        log_event(LOG_WARN, "cut.stops", "why=%s", log_quote(message));
        engine->action.phase = ENGINE_GUARD_AFTER;
        return;
    }
    end(engine, error, message);
}

/* Whatever holds a cut up is ended with the whole server: it is started again without an upstream,
 * and nobody is let in. */
static bool is_held_up(const struct engine *engine, enum error error)
{
    return engine->action.request.kind == KEEPER_CUT && error != ERR_OK && error != ERR_CANCELLED &&
           !engine->fencing;
}

static void on_guard_after(enum error error, const struct guard_status *status, void *ctx)
{
    (void)status;
    end(ctx, error, error == ERR_OK ? "" : "the guardian could not start or stop the database");
}

static void end(struct engine *engine, enum error error, const char *message)
{
    struct engine_action *action = &engine->action;

    action->error = error;
    (void)snprintf(action->message, sizeof(action->message), "%s", error == ERR_OK ? "" : message);
    if (error != ERR_OK) {
        log_event(LOG_WARN,
                  "driver.failed",
                  "action=%s error=%s why=%s",
                  keeper_action_name(action->request.kind),
                  error_name(error),
                  log_quote(action->message));
    } else if (action->request.kind == KEEPER_PROMOTE) {
        engine->writable = true; /* whatever a look from before says */
    }
    action->phase = ENGINE_LOOK;
    action->ended_ms = clock_monotonic_ms() + 1; /* a look of the same millisecond may be older */
    engine->driver->kind->acted(engine->driver, error, action->ended_ms);
    engine_look_now(engine);
}
