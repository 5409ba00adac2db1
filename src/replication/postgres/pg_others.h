/* SPDX-License-Identifier: Apache-2.0 */
/* Whoever else is in our server: readers, relays, workers of extensions. From the order to cut on
 * they may hold nothing up: replay waits for their locks, and a promotion waits for replay. They
 * are told apart by the kind of their process and by pid, never by a name that they give
 * themselves. */
#ifndef INDABA_REPLICATION_POSTGRES_PG_OTHERS_H
#define INDABA_REPLICATION_POSTGRES_PG_OTHERS_H

#include "replication/postgres/pg_conn.h"

/* Asks every process of the server to end, but those that replay and write, the receiver, this
 * session and the one of `probe_pid`. `left_out`: how many were there. */
MUST_CHECK enum error
pg_others_end(struct work *work, struct pg_conn *conn, int probe_pid, uint32_t *left_out);

#endif
