/* SPDX-License-Identifier: Apache-2.0 */
/* Does the primary's disk take writes? Looks only read, and a disk that hangs lets them: a commit
 * would wait for ever beside them. So once a second a small message is written and flushed, on a
 * thread of its own, which may hang with the disk; how long it does is told. It waits for no
 * standby.
 */
#include "replication/postgres/pg_driver_internal.h"

#include "base/clock.h"

enum {
    WRITE_EVERY_MS = 1000,
    WRITE_MS = 24 * 60 * 60 * 1000, /* it is given up only with its database, or with us */
    STALLED_MS = 1000,              /* less is no news */
};

static const char SQL[] = "SELECT pg_logical_emit_message(true, 'indaba', 'does the disk write?')";

static enum error write_once(struct work *work, void *job);
static void on_written(enum error error, const char *message, void *job);

void pg_driver_write_if_due(struct pg_driver *driver)
{
    struct pg_write_job *job = &driver->write_job;
    uint64_t now_ms = clock_monotonic_ms();
    bool primary = driver->has_goal && driver->goal.role == GOAL_PRIMARY &&
                   driver->look_starts != 0 && driver->look_starts == driver->seen_starts &&
                   guard_link_status(driver->guard)->running && !driver->look.in_recovery;

    if (driver->closing || !primary || !worker_is_idle(driver->writes) ||
        now_ms - job->begun_ms < WRITE_EVERY_MS) {
        return;
    }
    job->begun_ms = now_ms;
    worker_run(driver->writes, write_once, on_written, job);
}

uint32_t pg_driver_write_stalled_ms(const struct pg_driver *driver)
{
    uint64_t for_ms =
        worker_is_idle(driver->writes) ? 0 : clock_monotonic_ms() - driver->write_job.begun_ms;

    if (for_ms < STALLED_MS) {
        return 0;
    }
    return for_ms < UINT32_MAX ? (uint32_t)for_ms : UINT32_MAX;
}

void pg_driver_write_close(struct pg_driver *driver)
{
    pg_conn_close(driver->write_job.conn);
    driver->write_job.conn = NULL;
}

/* What fails has not hung: only the wait for the flush has no end of its own. */
static enum error write_once(struct work *work, void *job)
{
    struct pg_write_job *write = job;

    if (write->conn != NULL && pg_conn_is_broken(write->conn)) {
        pg_conn_close(write->conn);
        write->conn = NULL;
    }
    if (write->conn == NULL) {
        TRY(pg_conn_open(work, write->place, PG_CONNECT_MS, &write->conn));
        TRY(pg_conn_query(work, write->conn, "SET synchronous_commit = local", PG_QUERY_MS, NULL));
    }
    return pg_conn_query(work, write->conn, SQL, WRITE_MS, NULL);
}

static void on_written(enum error error, const char *message, void *job)
{
    struct pg_write_job *write = job;

    (void)message;
    if (error != ERR_OK) {
        pg_conn_close(write->conn);
        write->conn = NULL;
    }
}
