/* SPDX-License-Identifier: Apache-2.0 */
/* Does the primary's disk take writes? A small message is written and flushed, on a connection of
 * its own; it waits for no standby, and for its disk without an end. */
#include "replication/postgres/pg_conn.h"
#include "replication/postgres/pg_driver_internal.h"

enum {
    WRITE_MS = 24 * 60 * 60 * 1000, /* it is given up only with its database, or with us */
};

static const char SQL[] = "SELECT pg_logical_emit_message(true, 'indaba', 'does the disk write?')";

static enum error write_once(struct work *work, struct pg_driver *driver);

enum error pg_driver_write(struct work *work, struct driver *base)
{
    struct pg_driver *driver = (struct pg_driver *)base;

    if (driver->write_conn != NULL && pg_conn_is_broken(driver->write_conn)) {
        pg_conn_close(driver->write_conn);
        driver->write_conn = NULL;
    }
    enum error error = write_once(work, driver);
    if (error != ERR_OK) {
        pg_conn_close(driver->write_conn);
        driver->write_conn = NULL;
    }
    return error;
}

static enum error write_once(struct work *work, struct pg_driver *driver)
{
    struct pg_conn *conn = driver->write_conn;

    if (conn == NULL) {
        TRY(pg_conn_open(work, &driver->place, PG_CONNECT_MS, &conn));
        driver->write_conn = conn;
        TRY(pg_conn_query(work, conn, "SET synchronous_commit = local", PG_QUERY_MS, NULL));
    }
    return pg_conn_query(work, conn, SQL, WRITE_MS, NULL);
}
