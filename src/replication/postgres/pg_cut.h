/* SPDX-License-Identifier: Apache-2.0 */
/* Cutting a standby from its upstream, and its final position: the two facts on which exclusion and
 * completeness rest (safety.md 3). Nothing here is reported before it was seen. */
#ifndef INDABA_REPLICATION_POSTGRES_PG_CUT_H
#define INDABA_REPLICATION_POSTGRES_PG_CUT_H

#include "replication/postgres/pg_conn.h"

/* `settings` name no upstream. ERR_OK only after two looks at an empty pg_stat_wal_receiver, with
 * every process of the server signalled to take the new settings. */
MUST_CHECK enum error pg_cut(struct work *work,
                             const struct pg_place *place,
                             const struct pg_settings *settings,
                             int64_t *load_us_out);

/* The end of the last whole record that this cut standby holds. Waits (at most 10 s) until startup
 * has reached it: after a restart the positions that PostgreSQL shows are far too low (E3). */
MUST_CHECK enum error pg_cut_final_position(struct work *work,
                                            const struct pg_place *place,
                                            struct position *position_out);

#endif
