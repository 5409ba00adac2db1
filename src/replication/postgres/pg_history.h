/* SPDX-License-Identifier: Apache-2.0 */
/* Timeline history files. PostgreSQL takes, at a promotion, the first timeline number above its own
 * without a history file: two standbys promoted one after the other would both take the same (E6).
 * So before a promotion every number below the reserved one gets a file that says only that it is
 * taken. Such a file above the timeline in use would be mistaken for the newest timeline at a
 * restart: those are taken away before every start. */
#ifndef INDABA_REPLICATION_POSTGRES_PG_HISTORY_H
#define INDABA_REPLICATION_POSTGRES_PG_HISTORY_H

#include "replication/postgres/pg_conn.h"

/* Makes PostgreSQL, now on `current`, choose `reserved` next. ERR_PRECONDITION if `reserved` or a
 * later number has a file already, or is not above `current`. */
MUST_CHECK enum error pg_history_reserve(struct work *work,
                                         const struct pg_place *place,
                                         uint32_t current,
                                         uint32_t reserved);
/* Takes away our files above whatever timeline the folder really has. */
MUST_CHECK enum error pg_history_clean(struct work *work, const struct pg_place *place);
/* Of a running primary on `timeline`: parent and fork point. Timeline 1 has neither. */
MUST_CHECK enum error
pg_history_read(struct work *work, struct pg_conn *conn, uint32_t timeline, struct fork *fork_out);
/* Of a stopped folder, by the file in it. False: there is none that says so. */
bool pg_history_of_folder(const struct pg_place *place, uint32_t timeline, struct fork *fork_out);

enum {
    PG_ANNOUNCEMENT_SIZE = 128
};

/* The first words on a new timeline, before any client's: in which epoch it was opened. Its number
 * may be anybody's. */
MUST_CHECK enum error
pg_history_announce(struct work *work, struct pg_conn *conn, struct epoch epoch);
/* How pg_waldump shows that; returns `text`, which holds PG_ANNOUNCEMENT_SIZE bytes. */
char *pg_history_announcement(struct epoch epoch, char *text);

#endif
