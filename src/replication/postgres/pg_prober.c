/* SPDX-License-Identifier: Apache-2.0 */
/* See pg_prober.h. */
#include "replication/postgres/pg_prober.h"

#include "replication/postgres/pg_tablespaces.h"

#include <string.h>

enum {
    NEW_CONNECTION_EVERY = 4,
};

/* Whatever waits for a lock is refused, and the connection goes on. */
static const char LOCK_TIMEOUT_SQL[] = "SET lock_timeout = '500ms'";

static const char DATABASES_SQL[] =
    "SELECT string_agg(d.datname, E'\\n') FROM (SELECT datname FROM pg_database"
    " WHERE datallowconn AND datname NOT IN ('postgres', 'template1') ORDER BY oid LIMIT 8) d";

static enum error renew(struct work *work, struct pg_prober *prober);
static bool is_locked_out(struct work *work, struct pg_prober *prober, char *locked_out);
static enum error
remember_databases(struct work *work, struct pg_prober *prober, struct pg_conn *conn);

void pg_prober_init(struct pg_prober *prober, const struct pg_place *place)
{
    *prober = (struct pg_prober){.place = place};
}

void pg_prober_deinit(struct pg_prober *prober)
{
    pg_conn_close(prober->conn);
    pg_conn_close(prober->before);
    prober->conn = NULL;
    prober->before = NULL;
}

void pg_prober_looked(struct pg_prober *prober, enum error answered)
{
    if (answered != ERR_OK && prober->before != NULL) {
        /* What a session needs of the catalogs it remembers from the first time on: a lock that
         * came before that stops this one, and not the one from before. */
        pg_conn_close(prober->conn);
        prober->conn = prober->before;
        prober->looks = 0;
    } else if (answered == ERR_INVALID) {
        prober->looks = 0; /* a lock may be why: if there is no new one, this one can tell */
    } else if (answered != ERR_OK) {
        pg_prober_deinit(prober);
    } else {
        pg_conn_close(prober->before);
    }
    prober->before = NULL;
}

enum error pg_prober_connect(struct work *work, struct pg_prober *prober, char *locked_out)
{
    bool due = prober->looks++ % NEW_CONNECTION_EVERY == 0;
    bool usable = prober->conn != NULL && !pg_conn_is_broken(prober->conn);

    if (due) {
        pg_tablespaces_note(prober->place);
    }
    if (usable && prober->lockout.since_ms != 0) {
        if (is_locked_out(work, prober, locked_out)) {
            return ERR_OK;
        }
    } else if (usable && !due) {
        return ERR_OK;
    }
    enum error error = renew(work, prober);
    if (error != ERR_OK && usable && is_locked_out(work, prober, locked_out)) {
        return ERR_OK;
    }
    return error;
}

static enum error renew(struct work *work, struct pg_prober *prober)
{
    struct pg_conn *conn = NULL;

    TRY(pg_conn_open(work, prober->place, PG_CONNECT_MS, &conn));
    enum error error = pg_conn_query(work, conn, LOCK_TIMEOUT_SQL, PG_PROBE_MS, NULL);
    if (error == ERR_OK) {
        error = pg_lockout_prepare(work, conn);
    }
    if (error == ERR_OK) {
        error = remember_databases(work, prober, conn);
    }
    if (error != ERR_OK) {
        pg_conn_close(conn);
        return error;
    }
    bool usable = prober->conn != NULL && !pg_conn_is_broken(prober->conn);
    if (!usable) {
        pg_conn_close(prober->conn);
    }
    pg_conn_close(prober->before);
    prober->before = usable ? prober->conn : NULL;
    prober->conn = conn;
    prober->lockout = (struct pg_lockout){0};
    return ERR_OK;
}

static bool is_locked_out(struct work *work, struct pg_prober *prober, char *locked_out)
{
    if (!pg_lockout_is(work, prober->conn, &prober->place->user, &prober->lockout)) {
        return false;
    }
    memcpy(locked_out, prober->lockout.text, sizeof(prober->lockout.text));
    return true;
}

/* For a time at which none of the usual ones lets us in. */
static enum error
remember_databases(struct work *work, struct pg_prober *prober, struct pg_conn *conn)
{
    struct pg_databases databases;
    struct pg_rows *rows = NULL;

    TRY(pg_conn_query(work, conn, DATABASES_SQL, PG_PROBE_MS, &rows));
    const char *text = pg_rows_text(rows, 0, 0);
    pg_databases_parse(text != NULL ? text : "", &databases);
    pg_rows_free(rows);
    /* A failure to keep them is no failure of the look. */
    if (memcmp(&databases, &prober->databases, sizeof(databases)) != 0 &&
        pg_databases_remember(work, prober->place, &databases) == ERR_OK) {
        prober->databases = databases;
    }
    return ERR_OK;
}
