/* SPDX-License-Identifier: Apache-2.0 */
/* Clients of the nodes in pg_node.h. */
#include "tests/integration/pg_node.h"

#include <poll.h>
#include <stdio.h>

enum {
    SQL_MS = 10000
};

PGconn *pg_node_connect(const struct pg_node *node)
{
    char conninfo[256];

    (void)snprintf(conninfo,
                   sizeof(conninfo),
                   "host=127.0.0.1 port=%u user=postgres dbname=postgres application_name=client",
                   node->port);
    PGconn *conn = PQconnectdb(conninfo);
    if (PQstatus(conn) != CONNECTION_OK) {
        fail_msg("%s", PQerrorMessage(conn));
    }
    return conn;
}

void pg_node_sql(PGconn *conn, const char *sql, char *text)
{
    uint64_t until_ms = clock_monotonic_ms() + SQL_MS;

    pg_node_send(conn, sql);
    while (PQisBusy(conn) != 0) {
        struct pollfd fd = {.fd = PQsocket(conn), .events = POLLIN};
        if (clock_monotonic_ms() >= until_ms) {
            fail_msg("%s: still running after %d ms", sql, SQL_MS);
        }
        (void)poll(&fd, 1, 100);
        if (PQconsumeInput(conn) != 1) {
            fail_msg("%s: %s", sql, PQerrorMessage(conn));
        }
    }
    for (PGresult *result = PQgetResult(conn); result != NULL; result = PQgetResult(conn)) {
        ExecStatusType status = PQresultStatus(result);
        if (status != PGRES_COMMAND_OK && status != PGRES_TUPLES_OK) {
            fail_msg("%s: %s", sql, PQresultErrorMessage(result));
        }
        if (text != NULL) {
            (void)snprintf(text, 128, "%s", PQntuples(result) > 0 ? PQgetvalue(result, 0, 0) : "");
        }
        PQclear(result);
    }
}

void pg_node_send(PGconn *conn, const char *sql)
{
    assert_int_equal(PQsendQuery(conn, sql), 1);
}

bool pg_node_ended(struct pg_world *world, PGconn *conn, uint64_t ms, bool *ok_out)
{
    uint64_t until_ms = clock_monotonic_ms() + ms;

    *ok_out = false;
    for (;;) {
        bool lost = PQconsumeInput(conn) != 1;
        if (lost) {
            return true;
        }
        if (PQisBusy(conn) == 0) {
            break;
        }
        if (clock_monotonic_ms() >= until_ms) {
            return false;
        }
        pg_world_run(world, 5);
    }
    for (PGresult *result = PQgetResult(conn); result != NULL; result = PQgetResult(conn)) {
        ExecStatusType status = PQresultStatus(result);
        *ok_out = status == PGRES_COMMAND_OK || status == PGRES_TUPLES_OK;
        PQclear(result);
    }
    return true;
}
