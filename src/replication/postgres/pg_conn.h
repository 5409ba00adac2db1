/* SPDX-License-Identifier: Apache-2.0 */
/* One connection to PostgreSQL: the only user of libpq. Connects and asks without blocking beyond
 * the timeout given, and gives up when the work is cancelled. A connection whose statement timed
 * out, was cancelled or lost is broken: it can only be closed. Belongs to one thread at a time. */
#ifndef INDABA_REPLICATION_POSTGRES_PG_CONN_H
#define INDABA_REPLICATION_POSTGRES_PG_CONN_H

#include "replication/postgres/pg_config_file.h"

struct pg_conn;
struct pg_rows;

struct pg_verifier {
    char text[256];
};

enum {
    PG_CONNECT_MS = 1000,
    PG_QUERY_MS = 2000,
};

/* To our own server over the socket in the run folder, as the superuser. ERR_REFUSED: nobody
 * listens; ERR_UNAVAILABLE: it listens and is starting or stopping; ERR_TIMEOUT: it hangs;
 * ERR_DENIED and others with work->message. */
MUST_CHECK enum error pg_conn_open(struct work *work,
                                   const struct pg_place *place,
                                   uint64_t timeout_ms,
                                   struct pg_conn **conn_out);
/* NULL is allowed. Never blocks. */
void pg_conn_close(struct pg_conn *conn);
bool pg_conn_is_broken(const struct pg_conn *conn);
int pg_conn_backend_pid(const struct pg_conn *conn);

/* One statement, or several in one implicit transaction; the rows of the last one. `rows_out` NULL:
 * not wanted. ERR_INVALID with the server's message if it refuses; ERR_CLOSED; ERR_TIMEOUT. */
MUST_CHECK enum error pg_conn_query(struct work *work,
                                    struct pg_conn *conn,
                                    const char *sql,
                                    uint64_t timeout_ms,
                                    struct pg_rows **rows_out);
/* Sends a statement and does not wait for its end; pg_conn_finish does, and may be called again
 * after ERR_TIMEOUT. */
MUST_CHECK enum error pg_conn_send(struct work *work, struct pg_conn *conn, const char *sql);
MUST_CHECK enum error pg_conn_finish(struct work *work,
                                     struct pg_conn *conn,
                                     uint64_t timeout_ms,
                                     struct pg_rows **rows_out);

/* What the server is given to keep instead of a password, so that none is in its log. */
MUST_CHECK enum error pg_conn_scram(struct work *work,
                                    struct pg_conn *conn,
                                    const char *role,
                                    const char *password,
                                    struct pg_verifier *verifier_out);

void pg_rows_free(struct pg_rows *rows);
int pg_rows_count(const struct pg_rows *rows);
/* NULL for SQL's NULL; borrowed from the rows. */
const char *pg_rows_text(const struct pg_rows *rows, int row, int column);
/* NULL reads as 0, false. */
uint64_t pg_rows_number(const struct pg_rows *rows, int row, int column);
uint64_t pg_rows_lsn(const struct pg_rows *rows, int row, int column);
/* The first 8 hex digits, as in the name of a WAL segment; 0 if there are none. */
uint32_t pg_rows_timeline(const struct pg_rows *rows, int row, int column);
bool pg_rows_bool(const struct pg_rows *rows, int row, int column);

#endif
