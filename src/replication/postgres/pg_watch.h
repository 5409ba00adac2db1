/* SPDX-License-Identifier: Apache-2.0 */
/* What was set is watched (safety.md 3): one look compares the settings that safety rests on, in
 * force and in their files, with what was last written, and tells when somebody reloaded them. Runs
 * on the probe thread; what follows from it is decided on the loop (pg_driver_watch.c). */
#ifndef INDABA_REPLICATION_POSTGRES_PG_WATCH_H
#define INDABA_REPLICATION_POSTGRES_PG_WATCH_H

#include "replication/postgres/pg_conn.h"
#include "replication/postgres/pg_roles.h"

/* What was last written. */
struct pg_watch_wants {
    bool known;
    struct pg_settings settings;
};

struct pg_watch_look {
    bool in_force;                    /* what differs is in force, not only in a file … */
    bool undurable;                   /* … and keeps this very server from being durable */
    char differs[PG_ROLES_TEXT_SIZE]; /* what is not as it was set; "" nothing */
    int64_t
        load_us; /* when the postmaster last loaded its settings, the server's clock; 0 unknown */
    struct pg_roles_look roles;
};

/* Of the files alone, for a time at which nobody is let in. */
void pg_watch_files(const struct pg_place *place, struct pg_watch_look *look_out);

/* Roles were looked at before: look_out->roles says what of them overrides settings. */
MUST_CHECK enum error pg_watch(struct work *work,
                               struct pg_conn *conn,
                               const struct pg_place *place,
                               const struct pg_watch_wants *wants,
                               struct pg_watch_look *look_out);

/* When the postmaster last loaded its settings; 0 if this session has loaded some itself since it
 * began: then only a new one can tell. */
MUST_CHECK enum error
pg_watch_load_us(struct work *work, struct pg_conn *conn, int64_t *load_us_out);

#endif
