/* SPDX-License-Identifier: Apache-2.0 */
/* Making, preparing and promoting a PostgreSQL instance. Blocking steps, run on the driver's action
 * thread; starting and stopping themselves are the guardian's. Every start is a start as standby.
 */
#ifndef INDABA_REPLICATION_POSTGRES_PG_CONTROL_H
#define INDABA_REPLICATION_POSTGRES_PG_CONTROL_H

#include "replication/guard_link.h"
#include "replication/postgres/pg_conn.h"

/* initdb beside, set up roles, then rename: pgdata is complete or not there. */
MUST_CHECK enum error pg_control_init(struct work *work, const struct pg_place *place);

/* Everything a start needs: settings, standby.signal, no stale lock file, no placeholders that
 * would be mistaken for timelines, a fresh nonce. Only while nothing of the database runs. */
MUST_CHECK enum error pg_control_prepare(struct work *work,
                                         const struct pg_place *place,
                                         const struct pg_settings *settings,
                                         struct guard_start *start_out);

struct pg_promotion {
    uint32_t timeline;
    struct epoch epoch;
    int probe_pid; /* backend of the sidecar's other session, 0 none */
};

/* Promotes to exactly `wanted->timeline`; the caller holds a running lease and has told the
 * guardian. ERR_PRECONDITION without having promoted; any other error leaves the outcome open. */
MUST_CHECK enum error pg_control_promote(struct work *work,
                                         const struct pg_place *place,
                                         const struct pg_promotion *wanted,
                                         struct fork *fork_out);

/* Writes all settings of a running instance anew and has them loaded; returns once the postmaster
 * has taken them and signalled all its processes. `load_us_out`: when it did, the server's clock.
 */
MUST_CHECK enum error pg_control_apply(struct work *work,
                                       const struct pg_place *place,
                                       const struct pg_settings *settings,
                                       int64_t *load_us_out);

#endif
