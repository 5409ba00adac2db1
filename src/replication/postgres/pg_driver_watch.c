/* SPDX-License-Identifier: Apache-2.0 */
/* What was set is watched: what follows from what the looks find. Ours is put back by the keeper's
 * own actions (SET_SYNC, FOLLOW, CUT), which write all of it anew. From the last look that found
 * all right until walsenders are seen under the setting again, a primary may have acknowledged what
 * no standby holds: that is a lapse, and it is told until it is over. */
#include "replication/postgres/pg_driver_internal.h"

#include "base/check.h"
#include "base/clock.h"
#include "base/log.h"
#include "replication/postgres/pg_control.h"
#include "replication/postgres/pg_files.h"

#include <inttypes.h>
#include <stdio.h>
#include <string.h>

enum {
    PAUSE_MIN_MS = 500,
    PAUSE_DOUBLINGS_MAX = 6,
    SHOWN_MS = 60000, /* so long people are told what was put back */
    RECEIVER_MS = 500,
    RECEIVER_LOOK_MS = 10,
};

static bool changes_settings(enum keeper_action_kind kind);
static bool may_judge(const struct pg_driver *driver);
static void note_foul(struct pg_driver *driver, const char *what, bool lapsed);
static void note_locked_out(struct pg_driver *driver, bool lapsed);
static void note_before(struct pg_driver *driver);
static void begin_lapse(struct pg_driver *driver, const char *what);
static enum error wait_for_receiver(struct work *work,
                                    const struct pg_place *place,
                                    const struct pg_settings *settings);
static void end_lapse(struct pg_driver *driver);
static void note_undone(struct pg_driver *driver, bool reloaded);
static void tell_undone(struct pg_driver *driver);
static bool confirms_for_standbys(const struct pg_driver *driver);

void pg_driver_watch_looked(struct pg_driver *driver)
{
    struct pg_watch_state *watch = &driver->watch;
    const struct pg_look *look = &driver->probe_job.look;
    bool refused = look->answered == ERR_DENIED;

    (void)snprintf(watch->refused, sizeof(watch->refused), "%s", refused ? look->refused : "");
    memcpy(watch->locked, look->locked, sizeof(watch->locked));
    if ((!refused && look->answered != ERR_OK) || !may_judge(driver)) {
        return;
    }
    int64_t load_us = refused ? 0 : look->watch.load_us;
    bool reloaded = pg_loads_see(&watch->loads, load_us, clock_monotonic_ms());
    /* What a cut standby receives again is a matter of its own: it does not confirm for anybody. */
    bool cut = driver->goal.role == GOAL_CUT;
    if (cut) {
        note_undone(driver, reloaded || refused);
    }
    if (refused) {
        note_locked_out(driver, !cut);
    } else if (look->watch.differs[0] != '\0') {
        bool weak = confirms_for_standbys(driver) ? look->watch.in_force : look->watch.undurable;
        note_foul(driver, look->watch.differs, weak || (reloaded && !cut));
    } else if (reloaded) {
        note_foul(driver, "settings were reloaded by somebody else", !cut);
    } else if (look->locked[0] != '\0' && load_us == 0) {
        note_foul(driver, "settings were reloaded while nobody could log in", !cut);
    } else if (!watch->wants.known) {
        watch->put_back = true; /* of a sidecar before this one: written anew once */
    } else {
        watch->clean = true;
        watch->clean_ms = driver->probe_begun_ms;
        watch->clean_lsn = look->flush_lsn;
        watch->in_vain = 0;
        if (!confirms_for_standbys(driver)) {
            watch->lapse[0] = '\0';
        }
        /* Roles are made whole beside the settings. */
        watch->put_back = look->watch.roles.broken[0] != '\0' && !look->in_recovery;
    }
}

void pg_driver_watch_begin(struct pg_driver *driver)
{
    struct pg_action *action = &driver->action;

    action->heals = driver->watch.put_back;
    action->before = pg_driver_watch_wants(driver);
    action->loads_before = driver->watch.loads;
    action->begun_wall_us = (int64_t)clock_wall_ms() * 1000;
    action->was_final = driver->final_known;
}

void pg_driver_watch_acted(struct pg_driver *driver)
{
    struct pg_watch_state *watch = &driver->watch;
    const struct pg_action *action = &driver->action;
    enum keeper_action_kind kind = action->request.kind;

    if (action->found.differs[0] != '\0' || action->reloaded) {
        note_before(driver);
    }
    if (changes_settings(kind)) {
        uint64_t now_ms = clock_monotonic_ms();
        watch->wants = (struct pg_watch_wants){.known = true, .settings = action->settings};
        watch->settled_ms = action->ended_ms;
        pg_loads_loaded(&watch->loads, kind == KEEPER_START ? 0 : action->load_us);
        if (action->error != ERR_OK && kind != KEEPER_START) {
            pg_loads_asked(&watch->loads, action->begun_wall_us, now_ms);
        }
        watch->put_back = action->error != ERR_OK && kind != KEEPER_START;
        if (action->heals) {
            uint32_t doublings =
                watch->in_vain < PAUSE_DOUBLINGS_MAX ? watch->in_vain : PAUSE_DOUBLINGS_MAX;
            watch->not_before_ms =
                now_ms + (watch->in_vain > 0 ? (uint64_t)PAUSE_MIN_MS << doublings : 0);
            watch->in_vain++;
        }
    } else if (kind == KEEPER_PROMOTE) {
        /* It opened the doors by a reload, which the postmaster may take later. */
        pg_loads_loaded(&watch->loads, 0);
        pg_loads_asked(&watch->loads, action->begun_wall_us, clock_monotonic_ms());
        watch->settled_ms = action->ended_ms;
    } else if (kind == KEEPER_CONFIRM_SYNC && action->error == ERR_OK && watch->lapse[0] != '\0') {
        end_lapse(driver);
    }
}

struct pg_watch_wants pg_driver_watch_wants(const struct pg_driver *driver)
{
    const struct goal *goal = &driver->goal;
    struct pg_watch_wants wants = driver->watch.wants;

    /* A sidecar that found its database running: a primary should be as the record has it. */
    if (!wants.known && driver->has_goal && goal->role == GOAL_PRIMARY && !goal->may_promote) {
        wants.known = true;
        wants.settings = (struct pg_settings){
            .shard = goal->shard, .sync = goal->mode == SHARD_SYNC, .pair = goal->sync};
    }
    return wants;
}

void pg_driver_watch_before(struct work *work, struct pg_action *action)
{
    struct pg_password_seen password = {0};
    struct pg_conn *conn = NULL;

    /* A server that lets nobody in is told of by the looks. */
    if (pg_conn_open(work, action->place, PG_CONNECT_MS, &conn) != ERR_OK) {
        return;
    }
    if (pg_roles_look(work, conn, action->place, &password, &action->found.roles) == ERR_OK &&
        pg_watch(work, conn, action->place, &action->before, &action->found) == ERR_OK) {
        action->reloaded =
            pg_loads_is_foreign(&action->loads_before, action->found.load_us, clock_monotonic_ms());
    }
    pg_conn_close(conn);
}

enum error pg_driver_watch_apply(struct work *work, struct pg_action *action)
{
    pg_driver_watch_before(work, action);
    TRY(pg_control_apply(work, action->place, &action->settings, &action->load_us));
    if (action->settings.upstream.value != 0) {
        /* A start by hand takes the files: they name nobody. Whoever still has to read them, and
         * reads that, would keep its receiver under no name. */
        TRY(wait_for_receiver(work, action->place, &action->settings));
        struct pg_settings written = action->settings;
        written.nameless = true;
        TRY(pg_config_write(work, action->place, &written));
    }
    /* What was written while fsync was off may be nowhere but in memory. */
    return action->heals || action->found.undurable ? pg_files_sync_all(work, action->place)
                                                    : ERR_OK;
}

/* Until a receiver runs that began under these settings, but not for long: its upstream may be
 * away, and one that had them before is not begun anew. What came too late the next look finds
 * (pg_probe.c). */
static enum error wait_for_receiver(struct work *work,
                                    const struct pg_place *place,
                                    const struct pg_settings *settings)
{
    static const char SQL[] =
        "SELECT r.conninfo FROM pg_stat_wal_receiver r JOIN pg_stat_activity a USING (pid)"
        " WHERE a.backend_start >= pg_conf_load_time()";
    uint64_t until_ms = clock_monotonic_ms() + RECEIVER_MS;
    struct pg_conn *conn = NULL;
    bool seen = settings->nameless;

    TRY(pg_conn_open(work, place, PG_CONNECT_MS, &conn));
    enum error error = ERR_OK;
    while (error == ERR_OK && !seen && clock_monotonic_ms() < until_ms) {
        struct pg_rows *rows = NULL;
        error = pg_conn_query(work, conn, SQL, PG_QUERY_MS, &rows);
        bool runs = error == ERR_OK && pg_rows_count(rows) > 0;
        const char *shown = runs ? pg_rows_text(rows, 0, 0) : NULL;
        seen = shown != NULL && pg_conninfo_is_of(settings, shown);
        pg_rows_free(rows);
        if (error == ERR_OK && !seen && work_wait(work, -1, 0, RECEIVER_LOOK_MS) == ERR_CANCELLED) {
            error = ERR_CANCELLED;
        }
    }
    pg_conn_close(conn);
    return error;
}

/* Whatever was acknowledged meanwhile lies before the markers, which enough standbys hold. */
static void end_lapse(struct pg_driver *driver)
{
    struct pg_watch_state *watch = &driver->watch;

    if (watch->put_back || watch->foul_ms >= driver->action.begun_ms) {
        driver->sync_confirmed_version = 0; /* it was confirmed of a setting that did not last */
    } else if (driver->action.settings.pair.members_count > 0) {
        log_event(LOG_WARN, "settings.lapse_over", "was=%s", log_quote(watch->lapse));
        watch->lapse[0] = '\0';
    }
}

void pg_driver_watch_facts(const struct pg_driver *driver, struct keeper_facts *facts)
{
    const struct pg_watch_state *watch = &driver->watch;
    const struct pg_roles_look *roles = &driver->look.watch.roles;
    uint64_t now_ms = clock_monotonic_ms();
    bool seen = facts->state == INSTANCE_PRIMARY || facts->state == INSTANCE_STANDBY;

    facts->put_back = seen && watch->put_back && now_ms >= watch->not_before_ms;
    facts->cut_undone = driver->has_goal && watch->undone_epoch.value == driver->goal.epoch.value &&
                        watch->undone_epoch.value != 0;
    if (!seen) {
        return;
    }
    memcpy(facts->lapse, watch->lapse, sizeof(facts->lapse));
    if (facts->concern[0] != '\0') {
        return; /* that its disk hangs is worse */
    }
    if (watch->locked[0] != '\0') {
        (void)snprintf(facts->concern, sizeof(facts->concern), "%.240s", watch->locked);
    } else if (watch->refused[0] != '\0') {
        (void)snprintf(facts->concern, sizeof(facts->concern), "%.240s", watch->refused);
    } else if (roles->broken[0] != '\0') {
        (void)snprintf(facts->concern, sizeof(facts->concern), "%s", roles->broken);
    } else if (watch->found[0] != '\0' && now_ms - watch->found_ms < SHOWN_MS) {
        (void)snprintf(facts->concern,
                       sizeof(facts->concern),
                       "%s: %s",
                       watch->put_back ? "being put back" : "was put back",
                       watch->found);
    } else if (driver->look.set_back[0] != '\0') {
        (void)snprintf(facts->concern, sizeof(facts->concern), "%.240s", driver->look.set_back);
    } else if (roles->weak[0] != '\0') {
        (void)snprintf(facts->concern,
                       sizeof(facts->concern),
                       "commits are weakened by settings of %s",
                       roles->weak);
    }
}

static bool changes_settings(enum keeper_action_kind kind)
{
    return kind == KEEPER_START || kind == KEEPER_FOLLOW || kind == KEEPER_CUT ||
           kind == KEEPER_SET_SYNC;
}

/* Not while an action changes settings, nor by a look that began before it was done. */
static bool may_judge(const struct pg_driver *driver)
{
    const struct pg_action *action = &driver->action;
    bool changing = action->running && (changes_settings(action->request.kind) ||
                                        action->request.kind == KEEPER_PROMOTE);

    return driver->has_goal && !changing && driver->probe_begun_ms >= driver->watch.settled_ms;
}

static void note_foul(struct pg_driver *driver, const char *what, bool lapsed)
{
    struct pg_watch_state *watch = &driver->watch;

    if (!watch->put_back || strcmp(watch->found, what) != 0) {
        log_event(LOG_WARN, "settings.not_ours", "found=%s", log_quote(what));
    }
    watch->put_back = true;
    watch->foul_ms = driver->probe_begun_ms;
    watch->found_ms = clock_monotonic_ms();
    (void)snprintf(watch->found, sizeof(watch->found), "%.150s", what);
    if (lapsed) {
        begin_lapse(driver, what);
    }
}

/* Why it cannot log in is told while it lasts; afterwards only that nobody watched meanwhile. */
static void note_locked_out(struct pg_driver *driver, bool lapsed)
{
    note_foul(driver, "whatever was changed while its sidecar was locked out", false);
    if (lapsed) {
        begin_lapse(driver, driver->probe_job.look.refused);
    }
}

/* An action overwrote what it should not have found. */
static void note_before(struct pg_driver *driver)
{
    const struct pg_action *action = &driver->action;
    struct pg_watch_state *watch = &driver->watch;
    const char *what = action->found.differs[0] != '\0' ? action->found.differs
                                                        : "settings were reloaded by somebody else";
    bool weak = confirms_for_standbys(driver) ? action->found.in_force : action->found.undurable;

    if (!action->heals) {
        log_event(LOG_WARN, "settings.not_ours", "found=%s", log_quote(what));
    }
    watch->foul_ms = action->begun_ms;
    watch->found_ms = clock_monotonic_ms();
    (void)snprintf(watch->found, sizeof(watch->found), "%.150s", what);
    if (driver->goal.role == GOAL_CUT) {
        if (action->was_final && (action->reloaded || action->found.in_force)) {
            tell_undone(driver);
        }
    } else if (weak || action->reloaded) {
        begin_lapse(driver, what);
        driver->sync_set_version =
            action->request.kind == KEEPER_SET_SYNC && action->error == ERR_OK
                ? action->request.goal.sync_version
                : 0;
    }
}

static void begin_lapse(struct pg_driver *driver, const char *what)
{
    struct pg_watch_state *watch = &driver->watch;

    if (confirms_for_standbys(driver)) {
        driver->sync_set_version = 0;
        driver->sync_confirmed_version = 0;
    }
    if (driver->goal.mode != SHARD_SYNC || watch->lapse[0] != '\0') {
        return;
    }
    if (watch->clean) {
        (void)snprintf(watch->lapse,
                       sizeof(watch->lapse),
                       "%.150s; last seen right at %" PRIX32 "/%" PRIX32 ", %" PRIu64 " ms before",
                       what,
                       (uint32_t)(watch->clean_lsn >> 32),
                       (uint32_t)watch->clean_lsn,
                       watch->foul_ms - watch->clean_ms);
    } else {
        (void)snprintf(watch->lapse, sizeof(watch->lapse), "%.150s", what);
    }
    log_event(LOG_WARN, "settings.lapse", "found=%s", log_quote(watch->lapse));
}

/* Whoever was cut, told its final position, and then received again may since have confirmed what
 * nobody asks it for any more: what it told does not count in this epoch. */
static void note_undone(struct pg_driver *driver, bool reloaded)
{
    const struct pg_look *look = &driver->probe_job.look;
    bool attached =
        look->answered == ERR_OK && (look->conninfo_of.value != 0 || look->receiver_running);

    if (!driver->final_known || (!attached && !reloaded)) {
        return;
    }
    driver->final_known = false;
    tell_undone(driver);
}

static void tell_undone(struct pg_driver *driver)
{
    log_event(LOG_WARN, "cut.undone", "epoch=%" PRIu64, driver->goal.epoch.value);
    driver->watch.undone_epoch = driver->goal.epoch;
}

/* A primary whose commits wait for standbys. */
static bool confirms_for_standbys(const struct pg_driver *driver)
{
    return driver->goal.role == GOAL_PRIMARY && driver->goal.mode == SHARD_SYNC &&
           !driver->look.in_recovery;
}
