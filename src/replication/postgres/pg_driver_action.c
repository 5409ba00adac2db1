/* SPDX-License-Identifier: Apache-2.0 */
/* The keeper's actions as PostgreSQL does them, on the action thread; and what they found. */
#include "replication/postgres/pg_driver_internal.h"

#include "base/check.h"
#include "base/clock.h"
#include "base/failpoint.h"
#include "replication/postgres/pg_control.h"
#include "replication/postgres/pg_cut.h"
#include "replication/postgres/pg_last_good.h"
#include "replication/postgres/pg_rejoin.h"
#include "replication/postgres/pg_sync.h"

#include <string.h>

static enum error start(struct work *work, struct pg_action *action, struct guard_start *start_out);
static enum error promote(struct work *work, struct pg_action *action);
static enum error cut(struct work *work, struct pg_action *action);
static void note_found(struct pg_driver *driver);

void pg_driver_begin(struct driver *base,
                     const struct driver_request *request,
                     const struct driver_now *now)
{
    struct pg_driver *driver = (struct pg_driver *)base;

    driver->action = (struct pg_action){
        .running = true,
        .request = *request,
        .place = &driver->place,
        .begun_ms = clock_monotonic_ms(),
        .start_failures = now->start_failures,
    };
    pg_driver_fill_settings(&driver->action.settings, request);
    driver->action.settings.probe_pid = driver->look.backend_pid;
    driver->action.settings.postmaster = now->pid;
    driver->action.settings.gate_page = now->gate_page;
    driver->action.settings.gate_why = driver->action.gate_why;
    pg_driver_watch_begin(driver);
    pg_driver_lineage_begin(driver, now);
    if (request->kind == KEEPER_FOLLOW || request->kind == KEEPER_START) {
        driver->final_known = false; /* whatever was final is not any more */
    }
}

void pg_driver_acted(struct driver *base, enum error error, uint64_t ended_ms)
{
    struct pg_driver *driver = (struct pg_driver *)base;

    driver->action.running = false;
    driver->action.error = error;
    driver->action.ended_ms = ended_ms;
    if (error == ERR_OK) {
        note_found(driver);
    }
    pg_driver_watch_acted(driver);
}

/* On the action thread. */
enum error pg_driver_act(struct work *work, struct driver *base, struct guard_start *start_out)
{
    struct pg_action *action = &((struct pg_driver *)base)->action;
    const struct driver_request *request = &action->request;
    const struct pg_place *place = action->place;

    switch (request->kind) {
    case KEEPER_INIT:
        TRY(pg_config_write(work, place, &action->settings));
        return FAILPOINT_AROUND("pg.init", pg_control_init(work, place));
    case KEEPER_CLONE:
        return FAILPOINT_AROUND("pg.clone", pg_rejoin_clone(work, place, &action->settings));
    case KEEPER_REBUILD:
        return FAILPOINT_AROUND(
            "pg.put_aside",
            pg_rejoin_put_aside(work, place, request->goal.epoch, request->incarnation));
    case KEEPER_PROVE:
        return FAILPOINT_AROUND("pg.prove",
                                pg_lineage_look(work, place, request, &action->lineage));
    case KEEPER_START:
        TRY(action->lineage_known ? pg_lineage_still(work, place, &action->lineage)
                                  : pg_lineage_same_wal(work, place, request));
        return FAILPOINT_AROUND("pg.prepare", start(work, action, start_out));
    case KEEPER_FOLLOW:
        return FAILPOINT_AROUND("pg.follow", pg_driver_watch_apply(work, action));
    case KEEPER_SET_SYNC:
        TRY(FAILPOINT_AROUND("pg.set_sync", pg_driver_watch_apply(work, action)));
        return pg_roles_repair(work, place);
    case KEEPER_CUT:
        return FAILPOINT_AROUND("pg.cut", cut(work, action));
    case KEEPER_FINAL_POSITION:
        TRY(pg_cut_final_position(work, place, &action->final));
        action->final_known = true;
        return ERR_OK;
    case KEEPER_PROMOTE:
        return FAILPOINT_AROUND("pg.promote", promote(work, action));
    case KEEPER_SLOTS:
        return FAILPOINT_AROUND(
            "pg.slots",
            pg_sync_slots(work, place, request->goal.siblings, request->goal.siblings_count));
    case KEEPER_CANARY:
        return FAILPOINT_AROUND("pg.canary", pg_sync_canary(work, place, &action->settings));
    case KEEPER_CONFIRM_SYNC:
        return FAILPOINT_AROUND("pg.confirm_sync", pg_sync_confirm(work, place, &action->settings));
    case KEEPER_STOP:
    case KEEPER_NONE:
    case KEEPER_WAIT:
    case KEEPER_REFUSE:
    case KEEPER_PERSIST:
    case KEEPER_FENCE:
    case KEEPER_ACTION_COUNT:
        break;
    }
    UNREACHABLE("the engine asks for nothing else");
}

static enum error start(struct work *work, struct pg_action *action, struct guard_start *start_out)
{
    TRY(pg_config_write(work, action->place, &action->settings));
    TRY(pg_config_prepare(work, action->place, action->place->data));
    TRY(pg_last_good_begin(work, action->place, action->start_failures));
    return pg_control_prepare(work, action->place, &action->settings, start_out);
}

static enum error promote(struct work *work, struct pg_action *action)
{
    struct pg_promotion wanted = {
        .timeline = action->request.goal.timeline,
        .epoch = action->request.goal.epoch,
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
    } else if (action->request.kind == KEEPER_START) {
        memcpy(driver->gate_why, action->gate_why, sizeof(driver->gate_why));
    } else if (action->request.kind == KEEPER_PROVE) {
        pg_driver_lineage_found(driver);
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
