/* SPDX-License-Identifier: Apache-2.0 */
/* See pg_conn.h. libpq's asynchronous half only: its blocking calls know no cancellation, and its
 * connect_timeout does not count there. */
#include "replication/postgres/pg_conn.h"

#include "base/check.h"
#include "base/clock.h"
#include "base/mem.h"
#include "replication/postgres/pg_login.h"

#include <libpq-fe.h>
#include <poll.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

struct pg_conn {
    PGconn *libpq;
    bool broken;
};

static enum error open_as(struct work *work,
                          const struct pg_login *login,
                          uint64_t until_ms,
                          struct pg_conn **conn_out);
static enum error finish_connect(struct work *work, PGconn *libpq, uint64_t until_ms);
static enum error refused(struct work *work, const PGconn *libpq);
static enum error flush(struct work *work, struct pg_conn *conn, uint64_t until_ms);
static enum error
take_result(struct work *work, PGresult *result, PGresult **rows, enum error before);
static enum error lost(struct work *work, struct pg_conn *conn);
static uint64_t left(uint64_t until_ms);
static void ignore_notice(void *ctx, const char *message);

/* libpq's own result under our name: nobody else sees its type. */
static const PGresult *result_of(const struct pg_rows *rows)
{
    return (const void *)rows;
}

enum error pg_conn_open(struct work *work,
                        const struct pg_place *place,
                        uint64_t timeout_ms,
                        struct pg_conn **conn_out)
{
    uint64_t until_ms = clock_monotonic_ms() + timeout_ms;
    char why[WORK_MESSAGE_SIZE] = "";
    struct pg_login login;
    enum error error = ERR_DENIED;

    /* Only a refusal is worth another try: what hangs, hangs for all. */
    pg_login_begin(&login, place);
    while (error == ERR_DENIED && pg_login_next(&login)) {
        error = open_as(work, &login, until_ms, conn_out);
        if (error == ERR_DENIED && why[0] == '\0') {
            (void)snprintf(why, sizeof(why), "%.200s", work->message);
        }
    }
    if (error == ERR_DENIED) {
        return work_fail(work, error, "cannot log in: %s", why);
    }
    return error;
}

static enum error open_as(struct work *work,
                          const struct pg_login *login,
                          uint64_t until_ms,
                          struct pg_conn **conn_out)
{
    char port[8];
    (void)snprintf(port, sizeof(port), "%u", login->place->config.port);
    const char *const keys[] = {"host",
                                "port",
                                "user",
                                "dbname",
                                "application_name",
                                "sslmode",
                                "gssencmode",
                                "passfile",
                                "client_encoding",
                                "options",
                                NULL};
    const char *const values[] = {login->place->sock,
                                  port,
                                  login->role,
                                  login->database,
                                  "indaba_sidecar",
                                  "disable",
                                  "disable",
                                  "/dev/null/none", /* no passwords over the socket */
                                  "UTF8",
                                  pg_login_options(),
                                  NULL};
    PGconn *libpq = PQconnectStartParams(keys, values, 0);

    if (libpq == NULL) {
        return work_fail(work, ERR_EXHAUSTED, "no memory for a connection");
    }
    (void)PQsetNoticeProcessor(libpq, ignore_notice, NULL);
    enum error error = finish_connect(work, libpq, until_ms);
    if (error == ERR_OK && PQsetnonblocking(libpq, 1) != 0) {
        error = work_fail(work, ERR_SYSTEM, "cannot make a connection non-blocking");
    }
    if (error != ERR_OK) {
        PQfinish(libpq);
        return error;
    }
    struct pg_conn *conn = mem_new(sizeof(*conn));
    conn->libpq = libpq;
    *conn_out = conn;
    return ERR_OK;
}

void pg_conn_close(struct pg_conn *conn)
{
    if (conn != NULL) {
        PQfinish(conn->libpq);
        mem_free(conn);
    }
}

bool pg_conn_is_broken(const struct pg_conn *conn)
{
    return conn->broken;
}

int pg_conn_backend_pid(const struct pg_conn *conn)
{
    return PQbackendPID(conn->libpq);
}

enum error pg_conn_query(struct work *work,
                         struct pg_conn *conn,
                         const char *sql,
                         uint64_t timeout_ms,
                         struct pg_rows **rows_out)
{
    TRY(pg_conn_send(work, conn, sql));
    enum error error = pg_conn_finish(work, conn, timeout_ms, rows_out);
    /* A statement that still runs leaves nothing for the next one to use. */
    conn->broken = conn->broken || error == ERR_TIMEOUT || error == ERR_CANCELLED;
    return error;
}

enum error pg_conn_send(struct work *work, struct pg_conn *conn, const char *sql)
{
    if (conn->broken) {
        return work_fail(work, ERR_CLOSED, "the connection to the database is broken");
    }
    if (PQsendQuery(conn->libpq, sql) != 1) {
        return lost(work, conn);
    }
    return flush(work, conn, clock_monotonic_ms() + PG_QUERY_MS);
}

enum error pg_conn_finish(struct work *work,
                          struct pg_conn *conn,
                          uint64_t timeout_ms,
                          struct pg_rows **rows_out)
{
    uint64_t until_ms = clock_monotonic_ms() + timeout_ms;
    PGresult *rows = NULL;
    enum error error = ERR_OK;

    for (;;) {
        while (PQisBusy(conn->libpq) != 0) {
            enum error waited = work_wait(work, PQsocket(conn->libpq), POLLIN, left(until_ms));
            if (waited != ERR_OK) {
                PQclear(rows);
                return work_fail(work, waited, "the database did not answer a statement in time");
            }
            if (PQconsumeInput(conn->libpq) != 1) {
                PQclear(rows);
                return lost(work, conn);
            }
        }
        PGresult *result = PQgetResult(conn->libpq);
        if (result == NULL) {
            break;
        }
        error = take_result(work, result, &rows, error);
    }
    if (PQstatus(conn->libpq) != CONNECTION_OK) {
        PQclear(rows);
        return lost(work, conn);
    }
    if (error != ERR_OK || rows_out == NULL) {
        PQclear(rows);
    } else {
        *rows_out = (void *)rows;
    }
    return error;
}

enum error pg_conn_scram(struct work *work,
                         struct pg_conn *conn,
                         const char *role,
                         const char *password,
                         struct pg_verifier *verifier_out)
{
    char *text = PQencryptPasswordConn(conn->libpq, password, role, "scram-sha-256");

    if (text == NULL || strlen(text) >= sizeof(verifier_out->text)) {
        PQfreemem(text);
        return work_fail(work, ERR_SYSTEM, "cannot derive a verifier from the password");
    }
    memcpy(verifier_out->text, text, strlen(text) + 1);
    PQfreemem(text);
    return ERR_OK;
}

void pg_rows_free(struct pg_rows *rows)
{
    PQclear((void *)rows);
}

int pg_rows_count(const struct pg_rows *rows)
{
    return PQntuples(result_of(rows));
}

const char *pg_rows_text(const struct pg_rows *rows, int row, int column)
{
    CHECK(row < PQntuples(result_of(rows)) && column < PQnfields(result_of(rows)));
    return PQgetisnull(result_of(rows), row, column) == 1
               ? NULL
               : PQgetvalue(result_of(rows), row, column);
}

uint64_t pg_rows_number(const struct pg_rows *rows, int row, int column)
{
    const char *text = pg_rows_text(rows, row, column);

    return text != NULL ? strtoull(text, NULL, 10) : 0;
}

uint64_t pg_rows_lsn(const struct pg_rows *rows, int row, int column)
{
    const char *text = pg_rows_text(rows, row, column);
    uint64_t lsn = 0;

    return text != NULL && position_parse_lsn(text, &lsn) == ERR_OK ? lsn : 0;
}

uint32_t pg_rows_timeline(const struct pg_rows *rows, int row, int column)
{
    const char *text = pg_rows_text(rows, row, column);
    char digits[9] = "";

    (void)snprintf(digits, sizeof(digits), "%.8s", text != NULL ? text : "");
    return (uint32_t)strtoul(digits, NULL, 16);
}

bool pg_rows_bool(const struct pg_rows *rows, int row, int column)
{
    const char *text = pg_rows_text(rows, row, column);

    return text != NULL && text[0] == 't';
}

static enum error finish_connect(struct work *work, PGconn *libpq, uint64_t until_ms)
{
    PostgresPollingStatusType status = PGRES_POLLING_WRITING;

    if (PQstatus(libpq) == CONNECTION_BAD) {
        return refused(work, libpq);
    }
    while (status != PGRES_POLLING_OK) {
        short events = status == PGRES_POLLING_READING ? POLLIN : POLLOUT;
        enum error waited = work_wait(work, PQsocket(libpq), events, left(until_ms));
        if (waited != ERR_OK) {
            return work_fail(work, waited, "the database did not answer a new connection in time");
        }
        status = PQconnectPoll(libpq);
        if (status == PGRES_POLLING_FAILED) {
            return refused(work, libpq);
        }
    }
    return ERR_OK;
}

/* libpq tells the SQLSTATE of a refused connection in no other way than by its text, and we run our
 * servers with lc_messages = C. */
static enum error refused(struct work *work, const PGconn *libpq)
{
    static const char *const NOT_NOW[] = {"starting up",
                                          "shutting down",
                                          "not yet accepting",
                                          "in recovery mode",
                                          "is not accepting"};
    const char *message = PQerrorMessage(libpq);
    enum error error = ERR_DENIED;

    for (size_t i = 0; i < ARRAY_LEN(NOT_NOW); i++) {
        if (strstr(message, NOT_NOW[i]) != NULL) {
            error = ERR_UNAVAILABLE;
        }
    }
    if (strstr(message, "Connection refused") != NULL ||
        strstr(message, "No such file or directory") != NULL) {
        error = ERR_REFUSED;
    } else if (strstr(message, "server closed the connection") != NULL ||
               strstr(message, "Connection reset") != NULL) {
        error = ERR_CLOSED;
    }
    return work_fail(work, error, "%.*s", (int)strcspn(message, "\n"), message);
}

static enum error flush(struct work *work, struct pg_conn *conn, uint64_t until_ms)
{
    for (;;) {
        int code = PQflush(conn->libpq);
        if (code < 0) {
            return lost(work, conn);
        }
        if (code == 0) {
            return ERR_OK;
        }
        enum error waited =
            work_wait(work, PQsocket(conn->libpq), POLLIN | POLLOUT, left(until_ms));
        if (waited != ERR_OK) {
            conn->broken = true;
            return work_fail(work, waited, "the database did not take a statement in time");
        }
        if (PQconsumeInput(conn->libpq) != 1) {
            return lost(work, conn);
        }
    }
}

/* Takes the result: keeps its rows, or notes the first error. */
static enum error
take_result(struct work *work, PGresult *result, PGresult **rows, enum error before)
{
    switch (PQresultStatus(result)) {
    case PGRES_TUPLES_OK:
    case PGRES_COMMAND_OK:
        PQclear(*rows);
        *rows = result;
        return before;
    case PGRES_EMPTY_QUERY:
    case PGRES_COPY_OUT:
    case PGRES_COPY_IN:
    case PGRES_BAD_RESPONSE:
    case PGRES_NONFATAL_ERROR:
    case PGRES_FATAL_ERROR:
    case PGRES_COPY_BOTH:
    case PGRES_SINGLE_TUPLE:
    case PGRES_PIPELINE_SYNC:
    case PGRES_PIPELINE_ABORTED:
        break;
    }
    if (before == ERR_OK) {
        const char *message = PQresultErrorMessage(result);
        before = work_fail(work, ERR_INVALID, "%.*s", (int)strcspn(message, "\n"), message);
    }
    PQclear(result);
    return before;
}

static enum error lost(struct work *work, struct pg_conn *conn)
{
    const char *message = PQerrorMessage(conn->libpq);

    conn->broken = true;
    return work_fail(work, ERR_CLOSED, "%.*s", (int)strcspn(message, "\n"), message);
}

static uint64_t left(uint64_t until_ms)
{
    uint64_t now_ms = clock_monotonic_ms();

    return now_ms < until_ms ? until_ms - now_ms : 0;
}

static void ignore_notice(void *ctx, const char *message)
{
    (void)ctx;
    (void)message;
}
