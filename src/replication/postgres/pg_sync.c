/* SPDX-License-Identifier: Apache-2.0 */
/* See pg_sync.h. */
#include "replication/postgres/pg_sync.h"

#include "base/check.h"
#include "base/clock.h"

#include <inttypes.h>
#include <stdio.h>
#include <string.h>

enum {
    CONFIRM_MS = 1000,
    CANARY_MS = 1000,
    LOOK_MS = 10,
    SQL_SIZE = 1024,
};

/* What the walsenders show of a marker. */
struct confirmation {
    uint32_t confirmed; /* members that flushed it */
    uint32_t pending;   /* walsenders that are not under the setting yet */
};

/* Walsenders as they are now. A kept one counts by what it has flushed; the others must have lost
 * their priority, which each walsender gives up itself when it takes the new setting. */
static const char SENDERS_SQL[] =
    "SELECT application_name, flush_lsn, sync_priority FROM pg_stat_replication"
    " WHERE state = 'streaming' OR sync_priority > 0";

static enum error confirm_marker(struct work *work,
                                 struct pg_conn *conn,
                                 const struct pg_settings *settings,
                                 uint64_t until_ms);
static enum error
write_marker(struct work *work, struct pg_conn *conn, const char *level, uint64_t *lsn_out);
static enum error count_confirmed(struct work *work,
                                  struct pg_conn *conn,
                                  const struct pg_settings *settings,
                                  uint64_t marker_lsn,
                                  struct confirmation *seen_out);
static bool is_member(const struct pg_settings *settings, const char *application_name);
static enum error watch_canary(struct work *work,
                               struct pg_conn *conn,
                               struct pg_conn *canary,
                               const struct pg_settings *settings);
static enum error is_waiting(struct work *work, struct pg_conn *conn, int pid, bool *waiting_out);

/* Twice. A marker that a walsender's standby has flushed says that this walsender has taken the
 * setting; but one that had not yet may meanwhile have released, by the old setting, a commit that
 * lies behind the marker and that only others hold. Once all have taken it that is over, and a
 * second marker lies behind whatever was released. */
enum error
pg_sync_confirm(struct work *work, const struct pg_place *place, const struct pg_settings *settings)
{
    struct pg_conn *conn = NULL;
    uint64_t until_ms = clock_monotonic_ms() + CONFIRM_MS;

    TRY(pg_conn_open(work, place, PG_CONNECT_MS, &conn));
    enum error error = confirm_marker(work, conn, settings, until_ms);
    if (error == ERR_OK) {
        error = confirm_marker(work, conn, settings, until_ms);
    }
    pg_conn_close(conn);
    return error;
}

static enum error confirm_marker(struct work *work,
                                 struct pg_conn *conn,
                                 const struct pg_settings *settings,
                                 uint64_t until_ms)
{
    uint64_t marker_lsn = 0;
    uint32_t required = settings->pair.members_count > 0 ? settings->pair.required : 0;
    struct confirmation seen = {0};
    enum error error = write_marker(work, conn, "local", &marker_lsn);
    while (error == ERR_OK) {
        error = count_confirmed(work, conn, settings, marker_lsn, &seen);
        if (error != ERR_OK || (seen.confirmed >= required && seen.pending == 0)) {
            break;
        }
        if (clock_monotonic_ms() >= until_ms) {
            error = work_fail(work,
                              ERR_UNAVAILABLE,
                              "sync setting not in force yet: %" PRIu32 " of %" PRIu32
                              " confirmed, %" PRIu32 " walsenders still under the old one",
                              seen.confirmed,
                              required,
                              seen.pending);
        } else if (work_wait(work, -1, 0, LOOK_MS) == ERR_CANCELLED) {
            error = ERR_CANCELLED;
        }
    }
    return error;
}

enum error
pg_sync_canary(struct work *work, const struct pg_place *place, const struct pg_settings *settings)
{
    struct pg_conn *conn = NULL;
    struct pg_conn *canary = NULL;
    uint64_t lsn = 0;

    TRY(pg_conn_open(work, place, PG_CONNECT_MS, &conn));
    enum error error = pg_conn_open(work, place, PG_CONNECT_MS, &canary);
    if (error == ERR_OK && !settings->sync) {
        error = write_marker(work, canary, "local", &lsn);
    } else if (error == ERR_OK) {
        error = watch_canary(work, conn, canary, settings);
    }
    pg_conn_close(canary);
    pg_conn_close(conn);
    return error;
}

enum error pg_sync_slots(struct work *work,
                         const struct pg_place *place,
                         const struct sync_member *siblings,
                         uint32_t siblings_count)
{
    struct pg_conn *conn = NULL;
    struct buf sql = {0};
    char name[NAME_SIZE];

    buf_append_string(&sql,
                      "SELECT pg_drop_replication_slot(slot_name) FROM pg_replication_slots"
                      " WHERE slot_type = 'physical' AND NOT active"
                      " AND slot_name ~ '^indaba_[0-9]+$' AND (wal_status = 'lost'"
                      " OR slot_name <> ALL (ARRAY['-'");
    for (uint32_t i = 0; i < siblings_count; i++) {
        buf_printf(&sql, ", '%s'", pg_slot_name(siblings[i].instance, name));
    }
    buf_append_string(&sql, "]::text[]));\n");
    for (uint32_t i = 0; i < siblings_count; i++) {
        (void)pg_slot_name(siblings[i].instance, name);
        buf_printf(&sql,
                   "SELECT pg_create_physical_replication_slot('%s', true) WHERE NOT EXISTS"
                   " (SELECT FROM pg_replication_slots WHERE slot_name = '%s');\n",
                   name,
                   name);
    }
    buf_append(&sql, "", 1);
    enum error error = pg_conn_open(work, place, PG_CONNECT_MS, &conn);
    if (error == ERR_OK) {
        error = pg_conn_query(work, conn, (const char *)sql.data, PG_QUERY_MS, NULL);
    }
    pg_conn_close(conn);
    buf_deinit(&sql);
    return error;
}

/* A transaction of its own that writes one small message and commits at `level`. */
static enum error
write_marker(struct work *work, struct pg_conn *conn, const char *level, uint64_t *lsn_out)
{
    char sql[SQL_SIZE];
    struct pg_rows *rows = NULL;

    (void)snprintf(sql, sizeof(sql), "SET synchronous_commit = %s", level);
    TRY(pg_conn_query(work, conn, sql, PG_QUERY_MS, NULL));
    TRY(pg_conn_query(work,
                      conn,
                      "SELECT pg_logical_emit_message(true, 'indaba', 'marker')",
                      PG_QUERY_MS,
                      &rows));
    *lsn_out = pg_rows_lsn(rows, 0, 0);
    pg_rows_free(rows);
    return *lsn_out != 0 ? ERR_OK : work_fail(work, ERR_INTERNAL, "the marker has no position");
}

static enum error count_confirmed(struct work *work,
                                  struct pg_conn *conn,
                                  const struct pg_settings *settings,
                                  uint64_t marker_lsn,
                                  struct confirmation *seen_out)
{
    struct pg_rows *rows = NULL;
    struct confirmation seen = {0};

    TRY(pg_conn_query(work, conn, SENDERS_SQL, PG_QUERY_MS, &rows));
    for (int i = 0; i < pg_rows_count(rows); i++) {
        const char *name = pg_rows_text(rows, i, 0);
        bool has_say = pg_rows_number(rows, i, 2) > 0;
        bool flushed = pg_rows_lsn(rows, i, 1) >= marker_lsn;
        if (!is_member(settings, name != NULL ? name : "")) {
            seen.pending += has_say ? 1 : 0;
        } else if (has_say && flushed) {
            seen.confirmed++;
        } else {
            seen.pending++;
        }
    }
    pg_rows_free(rows);
    *seen_out = seen;
    return ERR_OK;
}

static bool is_member(const struct pg_settings *settings, const char *application_name)
{
    char name[SYNC_NAME_SIZE];

    for (uint32_t i = 0; settings->sync && i < settings->pair.members_count; i++) {
        if (strcmp(application_name,
                   sync_member_name(settings->shard, settings->pair.members[i], name)) == 0) {
            return true;
        }
    }
    return false;
}

static enum error watch_canary(struct work *work,
                               struct pg_conn *conn,
                               struct pg_conn *canary,
                               const struct pg_settings *settings)
{
    uint64_t until_ms = clock_monotonic_ms() + CANARY_MS;
    struct confirmation seen = {0};
    bool waiting = false;
    struct pg_rows *rows = NULL;

    TRY(pg_conn_query(work, canary, "SET synchronous_commit = on", PG_QUERY_MS, NULL));
    TRY(pg_conn_send(work, canary, "SELECT pg_logical_emit_message(true, 'indaba', 'canary')"));
    while (!waiting) {
        enum error error = pg_conn_finish(work, canary, LOOK_MS, &rows);
        if (error == ERR_OK) {
            uint64_t lsn = pg_rows_lsn(rows, 0, 0);
            pg_rows_free(rows);
            TRY(count_confirmed(work, conn, settings, lsn, &seen));
            uint32_t required = settings->pair.required > 0 ? settings->pair.required : 1;
            return seen.confirmed >= required
                       ? ERR_OK
                       : work_fail(work,
                                   ERR_PRECONDITION,
                                   "a commit was acknowledged with %" PRIu32 " of %" PRIu32
                                   " confirmations: the setting is not in force yet",
                                   seen.confirmed,
                                   required);
        }
        if (error != ERR_TIMEOUT) {
            return error;
        }
        TRY(is_waiting(work, conn, pg_conn_backend_pid(canary), &waiting));
        if (!waiting && clock_monotonic_ms() >= until_ms) {
            return work_fail(work, ERR_TIMEOUT, "the canary commit neither ended nor waited");
        }
    }
    /* It would wait for ever; it is ended, not cancelled: a cancelled wait returns success (E8). */
    char sql[SQL_SIZE];
    (void)snprintf(
        sql, sizeof(sql), "SELECT pg_terminate_backend(%d)", pg_conn_backend_pid(canary));
    return pg_conn_query(work, conn, sql, PG_QUERY_MS, NULL);
}

static enum error is_waiting(struct work *work, struct pg_conn *conn, int pid, bool *waiting_out)
{
    char sql[SQL_SIZE];
    struct pg_rows *rows = NULL;

    (void)snprintf(
        sql,
        sizeof(sql),
        "SELECT count(*) FROM pg_stat_activity WHERE pid = %d AND wait_event = 'SyncRep'",
        pid);
    TRY(pg_conn_query(work, conn, sql, PG_QUERY_MS, &rows));
    *waiting_out = pg_rows_number(rows, 0, 0) > 0;
    pg_rows_free(rows);
    return ERR_OK;
}
