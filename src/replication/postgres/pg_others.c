/* SPDX-License-Identifier: Apache-2.0 */
/* See pg_others.h. */
#include "replication/postgres/pg_others.h"

#include <stdio.h>

enum {
    SQL_SIZE = 512
};

enum error pg_others_end(struct work *work, struct pg_conn *conn, int probe_pid, uint32_t *left_out)
{
    char sql[SQL_SIZE];
    struct pg_rows *rows = NULL;

    (void)snprintf(sql,
                   sizeof(sql),
                   "SELECT count(pg_terminate_backend(pid)) FROM pg_stat_activity"
                   " WHERE pid NOT IN (pg_backend_pid(), %d) AND backend_type NOT IN ('startup',"
                   " 'checkpointer', 'background writer', 'walwriter', 'walreceiver', 'archiver',"
                   " 'logger')",
                   probe_pid);
    TRY(pg_conn_query(work, conn, sql, PG_QUERY_MS, &rows));
    *left_out = (uint32_t)pg_rows_number(rows, 0, 0);
    pg_rows_free(rows);
    return ERR_OK;
}
