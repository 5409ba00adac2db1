/* SPDX-License-Identifier: Apache-2.0 */
/* Who must confirm a commit: setting synchronous_standby_names, seeing it in force at every
 * walsender (SHOW proves nothing, E16), the canary commit before a new primary is opened (E4), and
 * the slots of the siblings. On a primary, on the driver's action thread. */
#ifndef INDABA_REPLICATION_POSTGRES_PG_SYNC_H
#define INDABA_REPLICATION_POSTGRES_PG_SYNC_H

#include "replication/postgres/pg_conn.h"

/* Sees settings->pair in force: every walsender of its members has flushed a marker written after
 * the change, every other one has lost its say, and `required` members have the marker. A record
 * without members only asks for the second. ERR_UNAVAILABLE if that does not come about in 1 s: ask
 * again. */
MUST_CHECK enum error pg_sync_confirm(struct work *work,
                                      const struct pg_place *place,
                                      const struct pg_settings *settings);

/* One commit at the shard's level: confirmed by `required` members, or seen to wait for them. What
 * returns at once without a confirmation is ERR_PRECONDITION: the setting is not in force. */
MUST_CHECK enum error
pg_sync_canary(struct work *work, const struct pg_place *place, const struct pg_settings *settings);

/* One physical slot per sibling, reserving WAL from now on; slots of ours that nobody needs any
 * more go, and those that lost their WAL are made again. */
MUST_CHECK enum error pg_sync_slots(struct work *work,
                                    const struct pg_place *place,
                                    const struct sync_member *siblings,
                                    uint32_t siblings_count);

#endif
