/* SPDX-License-Identifier: Apache-2.0 */
/* The keeper's actions, one at a time: a step of the guardian, work on the action thread, a step of
 * the guardian, then a look, so that the facts that follow are later than the action. A fence takes
 * no part in the queue: it cancels what runs and goes to the guardian at once. */
#include "replication/postgres/pg_driver_internal.h"

#include "base/check.h"
#include "base/clock.h"
#include "base/log.h"
#include "replication/postgres/pg_control.h"
#include "replication/postgres/pg_cut.h"
#include "replication/postgres/pg_rejoin.h"
#include "replication/postgres/pg_sync.h"

#include <inttypes.h>
#include <stdio.h>
#include <string.h>

enum {
    STOP_MS = 5000,
    STOP_NOW_MS = 1,
    STOP_HUNG_MS = 300, /* what hangs will hardly shut down in an orderly way */
};

static enum error begin(struct pg_driver *driver);
static uint32_t stop_bound_ms(const struct pg_driver *driver);
static void begin_work(struct pg_driver *driver);
static void on_guard_before(enum error error, const struct guard_status *status, void *ctx);
static enum error work_on(struct work *work, void *job);
static enum error promote(struct work *work, struct pg_action *action);
static enum error cut(struct work *work, struct pg_action *action);
static void on_worked(enum error error, const char *message, void *job);
static bool is_held_up(const struct pg_driver *driver, enum error error);
static void on_guard_after(enum error error, const struct guard_status *status, void *ctx);
static void end(struct pg_driver *driver, enum error error, const char *message);
static void note_found(struct pg_driver *driver);

enum error pg_driver_run(struct driver *base,
                         const struct driver_request *request,
                         driver_done *done,
                         void *ctx)
{
    struct pg_driver *driver = (struct pg_driver *)base;

    if (request->kind == KEEPER_FENCE) {
        return pg_driver_fence(driver, request->fence_epoch, done, ctx);
    }
    if (!pg_driver_needs_work(request->kind)) {
        return ERR_INVALID;
    }
    if (driver->action.phase != PG_PHASE_IDLE || driver->fencing ||
        (request->kind == KEEPER_START && pg_driver_start_waits(driver))) {
        return ERR_BUSY;
    }
    driver->action =
        (struct pg_action){.request = *request, .done = done, .ctx = ctx, .place = &driver->place};
    pg_driver_fill_settings(&driver->action.settings, request);
    driver->action.settings.probe_pid = driver->look.backend_pid;
    pg_driver_watch_begin(driver);
    driver->action.begun_ms = clock_monotonic_ms();
    enum error error = begin(driver);
    if (error != ERR_OK) {
        driver->action.phase = PG_PHASE_IDLE;
    }
    return error;
}

/* The action ends with the first look that was begun after it; if the database does not answer any
 * more, with the look that found this. */
void pg_driver_advance(struct pg_driver *driver)
{
    struct pg_action *action = &driver->action;

    if (action->phase != PG_PHASE_LOOK) {
        return;
    }
    if (driver->look_begun_ms < action->ended_ms) {
        pg_driver_probe_now(driver);
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
    action->phase = PG_PHASE_IDLE;
    done(&result, action->ctx);
}

static enum error begin(struct pg_driver *driver)
{
    struct pg_action *action = &driver->action;
    const struct guard_status *guard = guard_link_status(driver->guard);

    switch (action->request.kind) {
    case KEEPER_STOP:
    case KEEPER_REBUILD:
        action->phase = PG_PHASE_GUARD_BEFORE;
        return guard_link_stop(driver->guard, stop_bound_ms(driver), on_guard_before, driver);
    case KEEPER_PROMOTE:
        action->phase = PG_PHASE_GUARD_BEFORE;
        return guard_link_writable(
            driver->guard, action->request.goal.epoch, on_guard_before, driver);
    case KEEPER_INIT:
    case KEEPER_CLONE:
    case KEEPER_START:
        if (!guard->connected || guard->running || guard->killing) {
            return ERR_PRECONDITION;
        }
        break;
    case KEEPER_FOLLOW:
    case KEEPER_CUT:
    case KEEPER_FINAL_POSITION:
    case KEEPER_SET_SYNC:
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
    begin_work(driver);
    return ERR_OK;
}

static uint32_t stop_bound_ms(const struct pg_driver *driver)
{
    struct keeper_facts facts;

    pg_driver_facts(&driver->base, &facts);
    return facts.state == INSTANCE_HUNG ? STOP_HUNG_MS : STOP_MS;
}

static void begin_work(struct pg_driver *driver)
{
    if (driver->action.request.kind == KEEPER_FOLLOW ||
        driver->action.request.kind == KEEPER_START) {
        driver->final_known = false; /* whatever was final is not any more */
    }
    driver->action.phase = PG_PHASE_WORK;
    worker_run(driver->actions, work_on, on_worked, driver);
}

static void on_guard_before(enum error error, const struct guard_status *status, void *ctx)
{
    struct pg_driver *driver = ctx;

    (void)status;
    if (error != ERR_OK) {
        end(driver, error, "the guardian refused");
    } else if (driver->action.request.kind == KEEPER_STOP) {
        end(driver, ERR_OK, "");
    } else {
        begin_work(driver);
    }
}

/* On the action thread. */
static enum error work_on(struct work *work, void *job)
{
    struct pg_action *action = &((struct pg_driver *)job)->action;
    const struct driver_request *request = &action->request;
    const struct pg_place *place = action->place;

    switch (request->kind) {
    case KEEPER_INIT:
        TRY(pg_config_write(work, place, &action->settings));
        return pg_control_init(work, place);
    case KEEPER_CLONE:
        return pg_rejoin_clone(work, place, &action->settings);
    case KEEPER_REBUILD:
        return pg_rejoin_put_aside(work, place, request->goal.epoch, request->incarnation);
    case KEEPER_START:
        return pg_control_prepare(work, place, &action->settings, &action->start);
    case KEEPER_FOLLOW:
        return pg_driver_watch_apply(work, action);
    case KEEPER_SET_SYNC:
        TRY(pg_driver_watch_apply(work, action));
        return pg_roles_repair(work, place);
    case KEEPER_CUT:
        return cut(work, action);
    case KEEPER_FINAL_POSITION:
        TRY(pg_cut_final_position(work, place, &action->final));
        action->final_known = true;
        return ERR_OK;
    case KEEPER_PROMOTE:
        return promote(work, action);
    case KEEPER_SLOTS:
        return pg_sync_slots(work, place, request->goal.siblings, request->goal.siblings_count);
    case KEEPER_CANARY:
        return pg_sync_canary(work, place, &action->settings);
    case KEEPER_CONFIRM_SYNC:
        return pg_sync_confirm(work, place, &action->settings);
    case KEEPER_STOP:
    case KEEPER_NONE:
    case KEEPER_WAIT:
    case KEEPER_REFUSE:
    case KEEPER_PERSIST:
    case KEEPER_FENCE:
    case KEEPER_ACTION_COUNT:
        break;
    }
    UNREACHABLE("pg_driver_needs_work let it through");
}

static enum error promote(struct work *work, struct pg_action *action)
{
    struct pg_promotion wanted = {
        .timeline = action->request.goal.timeline,
        .probe_pid = action->settings.probe_pid,
    };

    return pg_control_promote(work, action->place, &wanted, &action->fork);
}

/* The final position comes with the cut if it can be had; if not, it is asked for by itself. */
static enum error cut(struct work *work, struct pg_action *action)
{
    if (action->heals) {
        pg_driver_watch_before(work, action);
    }
    TRY(pg_cut(work, action->place, &action->settings, &action->load_us));
    if (pg_cut_final_position(work, action->place, &action->final) == ERR_OK) {
        action->final_known = true;
    }
    return ERR_OK;
}

static void on_worked(enum error error, const char *message, void *job)
{
    struct pg_driver *driver = job;

    if (driver->closing) {
        return;
    }
    if (error == ERR_OK && driver->action.request.kind == KEEPER_START) {
        driver->action.phase = PG_PHASE_GUARD_AFTER;
        error = guard_link_start(driver->guard, &driver->action.start, on_guard_after, driver);
        message = "no guardian to start the database";
        if (error == ERR_OK) {
            return;
        }
    } else if (is_held_up(driver, error) &&
               guard_link_stop(driver->guard, STOP_NOW_MS, on_guard_after, driver) == ERR_OK) {
        log_event(LOG_WARN, "cut.stops", "why=%s", log_quote(message));
        driver->action.phase = PG_PHASE_GUARD_AFTER;
        return;
    }
    end(driver, error, message);
}

/* Whatever holds a cut up is ended with the whole server: it is started again without an upstream,
 * and nobody is let in. */
static bool is_held_up(const struct pg_driver *driver, enum error error)
{
    return driver->action.request.kind == KEEPER_CUT && error != ERR_OK && error != ERR_CANCELLED &&
           !driver->fencing;
}

static void on_guard_after(enum error error, const struct guard_status *status, void *ctx)
{
    (void)status;
    end(ctx, error, error == ERR_OK ? "" : "the guardian could not start or stop the database");
}

static void end(struct pg_driver *driver, enum error error, const char *message)
{
    struct pg_action *action = &driver->action;

    action->error = error;
    (void)snprintf(action->message, sizeof(action->message), "%s", error == ERR_OK ? "" : message);
    if (error == ERR_OK) {
        note_found(driver);
    } else {
        log_event(LOG_WARN,
                  "driver.failed",
                  "action=%s error=%s why=%s",
                  keeper_action_name(action->request.kind),
                  error_name(error),
                  log_quote(action->message));
    }
    action->phase = PG_PHASE_LOOK;
    action->ended_ms = clock_monotonic_ms() + 1; /* a look of the same millisecond may be older */
    pg_driver_watch_acted(driver);
    pg_driver_probe_now(driver);
}

static void note_found(struct pg_driver *driver)
{
    struct pg_action *action = &driver->action;
    const struct goal *goal = &action->request.goal;

    if (action->final_known) {
        driver->final = action->final;
        driver->final_known = true;
    }
    if (action->request.kind == KEEPER_PROMOTE) {
        driver->look.in_recovery = false; /* whatever a look from before says */
        driver->look.timeline = action->fork.timeline;
        driver->look.fork = action->fork;
        driver->look.walsenders_count = 0;
        driver->final_known = false;
    } else if (action->request.kind == KEEPER_SET_SYNC) {
        driver->sync_set_version = goal->sync_version;
    } else if (action->request.kind == KEEPER_CONFIRM_SYNC) {
        driver->sync_confirmed_version = goal->sync_version;
    } else if (action->request.kind == KEEPER_SLOTS) {
        driver->slots_epoch = goal->epoch;
        driver->slots_index = goal->index;
    } else if (action->request.kind == KEEPER_CANARY) {
        driver->canary_epoch = goal->epoch;
    }
}
