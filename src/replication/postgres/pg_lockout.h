/* SPDX-License-Identifier: Apache-2.0 */
/* Nobody can log in: somebody has locked a catalog that every login reads. The database lives, and
 * its sessions go on; whoever holds the lock is looked for over a connection from before, by
 * functions that read no catalog. A session that holds one for long is ended; a prepared
 * transaction is a promise to somebody else, and only told; on a standby nothing but replay can
 * hold one. Runs on the driver's probe thread. */
#ifndef INDABA_REPLICATION_POSTGRES_PG_LOCKOUT_H
#define INDABA_REPLICATION_POSTGRES_PG_LOCKOUT_H

#include "replication/postgres/pg_conn.h"

enum {
    PG_LOCKOUT_END_MS = 5000,   /* so long a session may lock everybody out … */
    PG_LOCKOUT_GONE_MS = 15000, /* … and by then it is ended, or it hangs with its server */
};

/* Zeros: none. */
struct pg_lockout {
    uint64_t since_ms; /* monotonic, when it was first seen */
    bool told_to_end;
    char text[WORK_MESSAGE_SIZE]; /* who, for people */
};

/* On a new connection, before there is a lock: what the question needs of the catalogs is
 * remembered by a session that has asked it. */
MUST_CHECK enum error pg_lockout_prepare(struct work *work, struct pg_conn *conn);
/* To be asked while a login hangs, over a connection from before. True: a lock is why, and the
 * database is not to be taken for one that hangs. Sessions that hold one are ended when it is time,
 * if they are processes of `user`, the database's. False: no lock, or it does not answer, or what
 * was ended has not gone. */
bool pg_lockout_is(struct work *work,
                   struct pg_conn *conn,
                   const struct os_user *user,
                   struct pg_lockout *lockout);

#endif
