/* SPDX-License-Identifier: Apache-2.0 */
/* See pg_cut.h. The reload alone does not stop a receiver while replay is paused or waits on a
 * conflict (E2): its process is ended by SIGTERM, and startup, which has the new settings pending,
 * asks for no other. */
#include "replication/postgres/pg_cut.h"

#include "base/check.h"
#include "base/clock.h"
#include "replication/postgres/pg_control.h"
#include "replication/postgres/pg_others.h"

#include <errno.h>
#include <signal.h>
#include <stdio.h>
#include <string.h>

enum {
    CUT_MS = 3000,
    LOOK_APART_MS = 15,
    FINAL_MS = 10000,
    OTHERS_MS = 300, /* whoever has not ended by then will hold the failover up */
};

/* pg_stat_wal_receiver does not show one that is still connecting. */
static const char RECEIVER_SQL[] =
    "SELECT pid FROM pg_stat_activity WHERE backend_type = 'walreceiver'"
    " UNION SELECT pid FROM pg_stat_get_wal_receiver() WHERE pid IS NOT NULL";

struct final_look {
    bool receives;
    bool paused;
    bool waiting; /* startup has replayed all there is */
    uint32_t timeline;
    uint64_t replay_lsn;
};

static enum error end_others(struct work *work, struct pg_conn *conn, int probe_pid);
static enum error end_receiver(struct work *work, struct pg_conn *conn);
static enum error look_at_end(struct work *work, struct pg_conn *conn, struct final_look *look_out);
static enum error
wait_for_end(struct work *work, struct pg_conn *conn, struct position *position_out);

enum error pg_cut(struct work *work,
                  const struct pg_place *place,
                  const struct pg_settings *settings,
                  int64_t *load_us_out)
{
    struct pg_conn *conn = NULL;

    CHECK(settings->upstream.value == 0);
    CHECK(settings->closed);
    TRY(pg_control_apply(work, place, settings, load_us_out));
    TRY(pg_conn_open(work, place, PG_CONNECT_MS, &conn));
    enum error error = end_others(work, conn, settings->probe_pid);
    if (error == ERR_OK) {
        error = end_receiver(work, conn);
    }
    pg_conn_close(conn);
    return error;
}

enum error pg_cut_final_position(struct work *work,
                                 const struct pg_place *place,
                                 struct position *position_out)
{
    struct pg_conn *conn = NULL;

    TRY(pg_conn_open(work, place, PG_CONNECT_MS, &conn));
    enum error error = wait_for_end(work, conn, position_out);
    pg_conn_close(conn);
    return error;
}

/* Nobody new comes in: the doors were closed with the settings. */
static enum error end_others(struct work *work, struct pg_conn *conn, int probe_pid)
{
    uint64_t until_ms = clock_monotonic_ms() + OTHERS_MS;
    uint32_t left = 0;

    for (;;) {
        TRY(pg_others_end(work, conn, probe_pid, &left));
        if (left == 0) {
            return ERR_OK;
        }
        if (clock_monotonic_ms() >= until_ms) {
            return work_fail(work,
                             ERR_TIMEOUT,
                             "%u sessions or workers have not ended within %d ms",
                             (unsigned)left,
                             OTHERS_MS);
        }
        if (work_wait(work, -1, 0, LOOK_APART_MS) == ERR_CANCELLED) {
            return ERR_CANCELLED;
        }
    }
}

static enum error end_receiver(struct work *work, struct pg_conn *conn)
{
    uint64_t until_ms = clock_monotonic_ms() + CUT_MS;
    int empty_looks = 0;

    for (;;) {
        struct pg_rows *rows = NULL;
        TRY(pg_conn_query(work, conn, RECEIVER_SQL, PG_QUERY_MS, &rows));
        pid_t pid = pg_rows_count(rows) > 0 ? (pid_t)pg_rows_number(rows, 0, 0) : 0;
        pg_rows_free(rows);
        empty_looks = pid == 0 ? empty_looks + 1 : 0;
        if (empty_looks == 2) {
            return ERR_OK;
        }
        if (pid > 1 && kill(pid, SIGTERM) != 0 && errno != ESRCH) {
            return work_fail(work,
                             ERR_SYSTEM,
                             "cannot end the receiver, process %d: %s",
                             pid,
                             strerrordesc_np(errno));
        }
        if (clock_monotonic_ms() >= until_ms) {
            return work_fail(
                work, ERR_TIMEOUT, "the receiver still runs after %d ms of SIGTERM", CUT_MS);
        }
        if (work_wait(work, -1, 0, LOOK_APART_MS) == ERR_CANCELLED) {
            return ERR_CANCELLED;
        }
    }
}

/* Final: startup was seen waiting for more WAL at the same place twice, with nobody to bring more.
 * What the receiver may have written behind that is no whole record, hence of no transaction. */
static enum error
wait_for_end(struct work *work, struct pg_conn *conn, struct position *position_out)
{
    uint64_t begun_ms = clock_monotonic_ms();
    struct final_look before = {0};
    struct final_look look = {0};

    for (;;) {
        TRY(look_at_end(work, conn, &look));
        if (look.receives) {
            return work_fail(work, ERR_PRECONDITION, "a receiver runs: the position is not final");
        }
        if (look.waiting && before.waiting && look.replay_lsn == before.replay_lsn &&
            look.timeline == before.timeline && look.timeline != 0 && look.replay_lsn != 0) {
            *position_out = (struct position){.timeline = look.timeline, .lsn = look.replay_lsn};
            return ERR_OK;
        }
        before = look;
        uint64_t waited_ms = clock_monotonic_ms() - begun_ms;
        if (waited_ms >= FINAL_MS) {
            return work_fail(work,
                             ERR_UNAVAILABLE,
                             "replay has not reached the end of WAL after %d s",
                             FINAL_MS / 1000);
        }
        if (look.paused) {
            TRY(pg_conn_query(work, conn, "SELECT pg_wal_replay_resume()", PG_QUERY_MS, NULL));
        }
        if (work_wait(work, -1, 0, LOOK_APART_MS) == ERR_CANCELLED) {
            return ERR_CANCELLED;
        }
    }
}

static enum error look_at_end(struct work *work, struct pg_conn *conn, struct final_look *look_out)
{
    static const char SQL[] =
        "SELECT EXISTS (SELECT FROM pg_stat_activity WHERE backend_type = 'walreceiver'),"
        " pg_get_wal_replay_pause_state() <> 'not paused',"
        " coalesce((SELECT wait_event IN ('RecoveryRetrieveRetryInterval', 'RecoveryWalStream')"
        "  FROM pg_stat_activity WHERE backend_type = 'startup'), false),"
        " (SELECT max(substr(name, 1, 8)) FROM pg_ls_waldir() WHERE name ~ '^[0-9A-F]{24}$'),"
        " pg_last_wal_replay_lsn()";
    struct pg_rows *rows = NULL;
    struct final_look look = {0};

    TRY(pg_conn_query(work, conn, SQL, PG_QUERY_MS, &rows));
    look.receives = pg_rows_bool(rows, 0, 0);
    look.paused = pg_rows_bool(rows, 0, 1);
    look.waiting = pg_rows_bool(rows, 0, 2);
    look.timeline = pg_rows_timeline(rows, 0, 3);
    look.replay_lsn = pg_rows_lsn(rows, 0, 4);
    pg_rows_free(rows);
    *look_out = look;
    return ERR_OK;
}
