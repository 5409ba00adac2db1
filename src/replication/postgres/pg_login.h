/* SPDX-License-Identifier: Apache-2.0 */
/* As whom and into which database the sidecar logs in. Its role is its own, made with the data
 * folder; but people drop databases, and take a role's right to log in away. So each pair of role
 * and database that may let it in is tried, the usual one first. What such a role or database sets
 * is undone in our connections. */
#ifndef INDABA_REPLICATION_POSTGRES_PG_LOGIN_H
#define INDABA_REPLICATION_POSTGRES_PG_LOGIN_H

#include "replication/postgres/pg_config_file.h"

/* Superuser, without a password: only over the socket, as the user that the sidecar runs as. */
#define PG_LOGIN_ROLE "indaba_sidecar"

enum {
    PG_DATABASES_MAX = 8,
    PG_DATABASE_SIZE = 64, /* PostgreSQL cuts names at 63 bytes */
};

/* Databases of this server that let somebody in, besides the usual ones. */
struct pg_databases {
    char names[PG_DATABASES_MAX][PG_DATABASE_SIZE];
    uint32_t count;
};

/* The pairs, one after the other. */
struct pg_login {
    const struct pg_place *place;
    const char *role;
    const char *database;
    uint32_t next;
    bool read; /* `known` was read: only once the usual database refused */
    struct pg_databases known;
};

void pg_login_begin(struct pg_login *login, const struct pg_place *place);
/* False: all were tried. */
bool pg_login_next(struct pg_login *login);

/* Options of the connection: whatever settings of role, database or file could stop a session of
 * ours or make it do something else. */
const char *pg_login_options(void);

/* One name a line, as SQL gives them; those that are too long or too many are left out. */
void pg_databases_parse(const char *text, struct pg_databases *databases_out);
/* Kept for a time at which nobody can be asked, also by a later sidecar. */
MUST_CHECK enum error pg_databases_remember(struct work *work,
                                            const struct pg_place *place,
                                            const struct pg_databases *databases);

#endif
