/* SPDX-License-Identifier: Apache-2.0 */
/* When the postmaster loaded its settings, and whether it was told to by us. It takes a signal when
 * it gets to it: what we asked for may be loaded after we have looked, and is no work of somebody
 * else then. Times are of the server's clock, which is this machine's. Pure. */
#ifndef INDABA_REPLICATION_POSTGRES_PG_LOADS_H
#define INDABA_REPLICATION_POSTGRES_PG_LOADS_H

#include <stdbool.h>
#include <stdint.h>

enum {
    PG_LOADS_OWED_MS = 5000 /* so long a postmaster may take: a machine can be busy */
};

/* Zeros: nothing is known, since a start. */
struct pg_loads {
    int64_t load_us;        /* the newest load that was seen, or that we waited for */
    int64_t asked_us;       /* a load from then on is ours; 0: none is owed */
    uint64_t owed_until_ms; /* monotonic */
};

/* We told it to load, at `since_us` or later, and did not see that it has. */
void pg_loads_asked(struct pg_loads *loads, int64_t since_us, uint64_t now_ms);
/* We told it to, and have seen it; 0 if there was nothing to see. */
void pg_loads_loaded(struct pg_loads *loads, int64_t load_us);
/* Whether a look that saw this load saw somebody else's. 0: it could not tell. */
bool pg_loads_is_foreign(const struct pg_loads *loads, int64_t load_us, uint64_t now_ms);
/* The same, and from now on that load is known. */
bool pg_loads_see(struct pg_loads *loads, int64_t load_us, uint64_t now_ms);

#endif
