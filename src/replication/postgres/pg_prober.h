/* SPDX-License-Identifier: Apache-2.0 */
/* Who looks, from one look to the next: its connection, and what it remembers. The connection is
 * kept between looks, and replaced often enough that a postmaster that takes no new ones is seen.
 * The one from before is given up only once a whole look was had over the new one: if a lock keeps
 * everybody else out, it still tells all that takes no lock, and by whom. Of the probe thread. */
#ifndef INDABA_REPLICATION_POSTGRES_PG_PROBER_H
#define INDABA_REPLICATION_POSTGRES_PG_PROBER_H

#include "replication/postgres/pg_history.h"
#include "replication/postgres/pg_lockout.h"
#include "replication/postgres/pg_login.h"
#include "replication/postgres/pg_roles.h"

enum {
    PG_PROBE_MS = 1000,
};

struct pg_prober {
    const struct pg_place *place;
    struct pg_conn *conn;
    struct pg_conn *before; /* while the first look over a new one is under way */
    uint32_t looks;         /* 0: the next one needs a new connection */
    struct fork fork;       /* of the last look, read once per timeline */
    uint64_t sample_lsn;    /* primary: end of a record, held once the flush has reached it … */
    uint64_t held_lsn;      /* … and of one that it has */
    struct pg_password_seen password;
    struct pg_roles_look roles; /* of the newest look that could read them */
    struct pg_lockout lockout;
    struct pg_databases databases; /* as remembered on disk by this prober */
};

void pg_prober_init(struct pg_prober *prober, const struct pg_place *place);
/* Also to begin anew. */
void pg_prober_deinit(struct pg_prober *prober);

/* For a look. A lock may keep everybody out: then ERR_OK over the connection from before, and
 * `locked_out` (WORK_MESSAGE_SIZE bytes) says so. */
MUST_CHECK enum error
pg_prober_connect(struct work *work, struct pg_prober *prober, char *locked_out);
/* How that look ended. */
void pg_prober_looked(struct pg_prober *prober, enum error answered);

#endif
