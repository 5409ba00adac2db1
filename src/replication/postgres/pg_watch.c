/* SPDX-License-Identifier: Apache-2.0 */
/* See pg_watch.h. Settings that need a restart are not looked at in force: they are written anew
 * before every start. */
#include "replication/postgres/pg_watch.h"

#include "base/buf.h"
#include "base/check.h"
#include "replication/postgres/pg_written.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

/* What is always the same. Turned off, these lose what was acknowledged (fsync, full_page_writes,
 * synchronous_commit), let something else decide who writes (restart_after_crash,
 * promote_trigger_file), or keep a standby from confirming or from replaying. */
static const struct {
    const char *name;
    const char *wanted;
    const char *also; /* as good; NULL */
    bool durable;     /* without it this server may lose what it says it has */
} FIXED[] = {
    {"fsync", "on", NULL, true},
    {"full_page_writes", "on", NULL, true},
    {"synchronous_commit", "on", "remote_apply", false},
    {"restart_after_crash", "off", NULL, false},
    {"promote_trigger_file", "", NULL, false},
    {"restore_command", "", NULL, false},
    {"recovery_min_apply_delay", "0", NULL, false},
    {"wal_receiver_status_interval", "1s", NULL, false},
};

/* A session begins with what the postmaster had loaded, and loads anew when it is told to. */
#define LOAD_SQL                                                                   \
    "SELECT CASE WHEN pg_conf_load_time() <= backend_start"                        \
    " THEN (extract(epoch FROM pg_conf_load_time()) * 1000000)::bigint ELSE 0 END" \
    " FROM pg_stat_get_activity(pg_backend_pid())"

enum {
    COLUMN_NAMES = ARRAY_LEN(FIXED),
    COLUMN_CONNINFO,
    COLUMN_SLOT,
    COLUMN_LOAD,
};

static void compare(const struct pg_place *place,
                    const struct pg_watch_wants *wants,
                    const struct pg_rows *rows,
                    struct pg_watch_look *look);
static void compare_names(const struct pg_settings *settings,
                          const char *conninfo,
                          const struct pg_rows *rows,
                          struct pg_watch_look *look);
static void note(struct pg_watch_look *look, const char *name, const char *seen);

enum error pg_watch(struct work *work,
                    struct pg_conn *conn,
                    const struct pg_place *place,
                    const struct pg_watch_wants *wants,
                    struct pg_watch_look *look_out)
{
    struct pg_watch_look look = {.roles = look_out->roles};
    struct pg_rows *rows = NULL;
    struct buf sql = {0};

    buf_append_string(&sql, "SELECT ");
    for (size_t i = 0; i < ARRAY_LEN(FIXED); i++) {
        buf_printf(&sql, "current_setting('%s'), ", FIXED[i].name);
    }
    buf_append_string(&sql,
                      "current_setting('synchronous_standby_names'),"
                      " current_setting('primary_conninfo'), current_setting('primary_slot_name'),"
                      " (" LOAD_SQL ")");
    buf_append(&sql, "", 1);
    enum error error = pg_conn_query(work, conn, (const char *)sql.data, PG_QUERY_MS, &rows);
    buf_deinit(&sql);
    TRY(error);
    look.load_us = (int64_t)pg_rows_number(rows, 0, COLUMN_LOAD);
    compare(place, wants, rows, &look);
    pg_rows_free(rows);
    *look_out = look;
    return ERR_OK;
}

void pg_watch_files(const struct pg_place *place, struct pg_watch_look *look_out)
{
    const char *foreign = pg_written_foreign(place);

    if (foreign != NULL) {
        note(look_out, foreign, NULL);
    } else if (!pg_config_auto_is_clean(place)) {
        note(look_out, "postgresql.auto.conf", NULL);
    }
}

enum error pg_watch_load_us(struct work *work, struct pg_conn *conn, int64_t *load_us_out)
{
    struct pg_rows *rows = NULL;

    TRY(pg_conn_query(work, conn, LOAD_SQL, PG_QUERY_MS, &rows));
    *load_us_out = (int64_t)pg_rows_number(rows, 0, 0);
    pg_rows_free(rows);
    return ERR_OK;
}

static void compare(const struct pg_place *place,
                    const struct pg_watch_wants *wants,
                    const struct pg_rows *rows,
                    struct pg_watch_look *look)
{
    char conninfo[PG_TEXT_SIZE] = "";

    for (size_t i = 0; i < ARRAY_LEN(FIXED); i++) {
        const char *seen = pg_rows_text(rows, 0, (int)i);
        bool unseen = look->roles.own_override && strcmp(FIXED[i].name, "synchronous_commit") == 0;
        if (seen != NULL && !unseen && strcmp(seen, FIXED[i].wanted) != 0 &&
            (FIXED[i].also == NULL || strcmp(seen, FIXED[i].also) != 0)) {
            note(look, FIXED[i].name, seen);
            look->undurable = look->undurable || FIXED[i].durable;
        }
    }
    if (wants->known && pg_conninfo(place, &wants->settings, conninfo) == ERR_OK) {
        compare_names(&wants->settings, conninfo, rows, look);
    }
    pg_watch_files(place, look);
}

static void compare_names(const struct pg_settings *settings,
                          const char *conninfo,
                          const struct pg_rows *rows,
                          struct pg_watch_look *look)
{
    char names[PG_NAMES_SIZE];
    char slot[NAME_SIZE] = "";

    if (settings->upstream.value != 0) {
        (void)pg_slot_name(settings->self.instance, slot);
    }
    const char *wanted[] = {pg_settings_sync_names(settings, names), conninfo, slot};
    static const char *const NAMES[] = {
        "synchronous_standby_names", "primary_conninfo", "primary_slot_name"};
    for (int i = 0; i < 3; i++) {
        const char *seen = pg_rows_text(rows, 0, COLUMN_NAMES + i);
        if (seen == NULL || strcmp(seen, wanted[i]) != 0) {
            note(look, NAMES[i], seen);
        }
    }
}

/* The first thing that differs is named in full, the others by name. */
static void note(struct pg_watch_look *look, const char *name, const char *seen)
{
    size_t len = strlen(look->differs);

    if (seen == NULL) {
        (void)snprintf(look->differs + len,
                       sizeof(look->differs) - len,
                       "%s%s was written by somebody else",
                       len > 0 ? ", " : "",
                       name);
        return;
    }
    look->in_force = true;
    (void)snprintf(look->differs + len,
                   sizeof(look->differs) - len,
                   "%s%s is '%.40s'",
                   len > 0 ? ", " : "",
                   name,
                   seen);
}
