/* SPDX-License-Identifier: Apache-2.0 */
/* New data folders for a standby, and what becomes of the old ones. Nothing is ever overwritten:
 * the old folder is kept aside with whatever writes are stranded in it. */
#ifndef INDABA_REPLICATION_POSTGRES_PG_REJOIN_H
#define INDABA_REPLICATION_POSTGRES_PG_REJOIN_H

#include "replication/postgres/pg_conn.h"

/* Base backup of settings->upstream into pgdata.new, through the slot made for us there, then
 * pgdata. Leaves nothing behind when it fails. */
MUST_CHECK enum error pg_rejoin_clone(struct work *work,
                                      const struct pg_place *place,
                                      const struct pg_settings *settings);

/* Puts pgdata aside as stranded/epoch-N-INCARNATION. Only while nothing of the database runs. */
MUST_CHECK enum error pg_rejoin_put_aside(struct work *work,
                                          const struct pg_place *place,
                                          struct epoch epoch,
                                          struct incarnation incarnation);

#endif
