/* SPDX-License-Identifier: Apache-2.0 */
/* The roles that Indaba needs in the database: its own, and the one that standbys log in as. People
 * can take them away; a primary's sidecar makes them whole again, and gives the role of replication
 * the password of its configuration. Also who has settings that weaken commits: that is theirs to
 * decide, and ours to say. */
#ifndef INDABA_REPLICATION_POSTGRES_PG_ROLES_H
#define INDABA_REPLICATION_POSTGRES_PG_ROLES_H

#include "replication/postgres/pg_conn.h"

enum {
    PG_ROLES_TEXT_SIZE = 160,
};

struct pg_roles_look {
    char broken[PG_ROLES_TEXT_SIZE]; /* what is wrong with our roles; "" nothing */
    char weak[PG_ROLES_TEXT_SIZE];   /* whose settings weaken commits; "" nobody's */
    bool own_override;               /* of our own sessions: what a file says is not seen in them */
};

/* What was found out about a password, which takes some computing. */
struct pg_password_seen {
    struct pg_verifier verifier;
    bool matches;
};

MUST_CHECK enum error pg_roles_look(struct work *work,
                                    struct pg_conn *conn,
                                    const struct pg_place *place,
                                    struct pg_password_seen *seen,
                                    struct pg_roles_look *look_out);
/* On a primary. Commits without waiting for standbys: it may be what they need to come. */
MUST_CHECK enum error pg_roles_repair(struct work *work, const struct pg_place *place);

#endif
