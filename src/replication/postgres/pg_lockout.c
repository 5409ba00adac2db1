/* SPDX-License-Identifier: Apache-2.0 */
/* See pg_lockout.h. */
#include "replication/postgres/pg_lockout.h"

#include "base/check.h"
#include "base/clock.h"
#include "base/log.h"
#include "replication/as_user.h"

#include <inttypes.h>
#include <signal.h>
#include <stdio.h>
#include <string.h>

enum {
    LOOK_MS = 2000,
};

enum lock_column {
    LOCK_PID,
    LOCK_RELATION,
    LOCK_GID,
    LOCK_IN_RECOVERY,
};

/* Who holds, or waits ahead of others for, a lock that others wait for as a login does: to read a
 * catalog, or to be in a database. A prepared transaction has no process; its number is in the lock
 * that each has on itself. */
static const char LOCKS_SQL[] =
    "SELECT l.pid, coalesce(l.relation, l.classid), p.gid, pg_is_in_recovery()"
    " FROM pg_lock_status() l"
    " LEFT JOIN pg_lock_status() x ON l.pid IS NULL AND x.pid IS NULL"
    "  AND x.virtualtransaction = l.virtualtransaction AND x.locktype = 'transactionid'"
    " LEFT JOIN pg_prepared_xact() p ON p.transaction = x.transactionid"
    " WHERE l.pid IS DISTINCT FROM pg_backend_pid() AND l.database IN"
    "  (0, (SELECT a.datid FROM pg_stat_get_activity(pg_backend_pid()) a))"
    " AND EXISTS (SELECT FROM pg_lock_status() w"
    "  WHERE NOT w.granted AND w.locktype = l.locktype AND w.database = l.database"
    "  AND w.pid IS DISTINCT FROM l.pid AND CASE l.locktype"
    "   WHEN 'relation' THEN w.relation = l.relation AND l.relation::bigint < 16384"
    "    AND w.mode = 'AccessShareLock' AND l.mode = 'AccessExclusiveLock'"
    "   WHEN 'object' THEN l.classid = 1262 AND w.classid = l.classid AND w.objid = l.objid"
    "    AND w.mode = 'RowExclusiveLock' AND l.mode IN ('ShareLock', 'ShareRowExclusiveLock',"
    "     'ExclusiveLock', 'AccessExclusiveLock')"
    "   ELSE false END)"
    " ORDER BY p.gid, l.granted DESC, l.pid LIMIT 16";

/* Numbers of catalogs never change; their names would have to be read from one. */
static const struct {
    uint32_t oid;
    const char *name;
} CATALOGS[] = {
    {1260, "pg_authid"},
    {1261, "pg_auth_members"},
    {1262, "pg_database"},
    {2964, "pg_db_role_setting"},
    {1259, "pg_class"},
    {1249, "pg_attribute"},
    {1255, "pg_proc"},
    {1247, "pg_type"},
};

static void tell(const struct pg_rows *rows, struct pg_lockout *lockout);
static const char *catalog_name(uint64_t oid);
static bool
end_sessions(const struct pg_rows *rows, const struct os_user *user, struct pg_lockout *lockout);

enum error pg_lockout_prepare(struct work *work, struct pg_conn *conn)
{
    return pg_conn_query(work, conn, LOCKS_SQL, LOOK_MS, NULL);
}

bool pg_lockout_is(struct work *work,
                   struct pg_conn *conn,
                   const struct os_user *user,
                   struct pg_lockout *lockout)
{
    struct pg_rows *rows = NULL;

    if (pg_conn_query(work, conn, LOCKS_SQL, LOOK_MS, &rows) != ERR_OK) {
        return false;
    }
    bool locked = pg_rows_count(rows) > 0;
    if (locked) {
        if (lockout->since_ms == 0) {
            lockout->since_ms = clock_monotonic_ms();
        }
        tell(rows, lockout);
        locked = end_sessions(rows, user, lockout);
    } else {
        *lockout = (struct pg_lockout){0};
    }
    pg_rows_free(rows);
    return locked;
}

/* Of the first: a prepared transaction before any session, since it needs somebody. */
static void tell(const struct pg_rows *rows, struct pg_lockout *lockout)
{
    const char *gid = pg_rows_text(rows, 0, LOCK_GID);
    const char *what = catalog_name(pg_rows_number(rows, 0, LOCK_RELATION));
    bool first = lockout->text[0] == '\0';

    if (pg_rows_bool(rows, 0, LOCK_IN_RECOVERY)) {
        (void)snprintf(lockout->text,
                       sizeof(lockout->text),
                       "nobody can log in: a transaction of its primary has locked %s",
                       what);
    } else if (pg_rows_text(rows, 0, LOCK_PID) == NULL) {
        (void)snprintf(lockout->text,
                       sizeof(lockout->text),
                       "nobody can log in: prepared transaction '%.64s' has locked %s; COMMIT "
                       "PREPARED or ROLLBACK PREPARED it in a session that is open",
                       gid != NULL ? gid : "?",
                       what);
    } else {
        (void)snprintf(lockout->text,
                       sizeof(lockout->text),
                       "nobody can log in: process %" PRIu64 " has locked %s; it is ended after "
                       "%d s",
                       pg_rows_number(rows, 0, LOCK_PID),
                       what,
                       PG_LOCKOUT_END_MS / 1000);
    }
    if (first) {
        log_event(LOG_WARN, "login.locked_out", "why=%s", log_quote(lockout->text));
    }
}

static const char *catalog_name(uint64_t oid)
{
    for (size_t i = 0; i < ARRAY_LEN(CATALOGS); i++) {
        if (CATALOGS[i].oid == oid) {
            return CATALOGS[i].name;
        }
    }
    return "a system catalog";
}

/* By signal: whether we may end them would be read from a catalog. False: they should have gone. */
static bool
end_sessions(const struct pg_rows *rows, const struct os_user *user, struct pg_lockout *lockout)
{
    uint64_t age_ms = clock_monotonic_ms() - lockout->since_ms;
    bool others = pg_rows_bool(rows, 0, LOCK_IN_RECOVERY);

    for (int i = 0; i < pg_rows_count(rows); i++) {
        pid_t pid = (pid_t)pg_rows_number(rows, i, LOCK_PID);
        bool session = pid > 1 && !pg_rows_bool(rows, i, LOCK_IN_RECOVERY);
        others = others || !session;
        if (session && age_ms >= PG_LOCKOUT_END_MS && as_user_signal(user, pid, SIGTERM) &&
            !lockout->told_to_end) {
            log_event(LOG_WARN,
                      "login.lock_ended",
                      "pid=%d locked=%s",
                      (int)pid,
                      catalog_name(pg_rows_number(rows, i, LOCK_RELATION)));
        }
    }
    lockout->told_to_end = age_ms >= PG_LOCKOUT_END_MS;
    return others || age_ms < PG_LOCKOUT_GONE_MS;
}
