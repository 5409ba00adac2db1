/* SPDX-License-Identifier: Apache-2.0 */
/* See pg_loads.h. */
#include "replication/postgres/pg_loads.h"

static bool is_owed(const struct pg_loads *loads, int64_t load_us, uint64_t now_ms);

void pg_loads_asked(struct pg_loads *loads, int64_t since_us, uint64_t now_ms)
{
    loads->asked_us = since_us;
    loads->owed_until_ms = now_ms + PG_LOADS_OWED_MS;
}

void pg_loads_loaded(struct pg_loads *loads, int64_t load_us)
{
    /* What was owed may be what we saw, and the signal of just now still be on its way. */
    loads->asked_us = loads->asked_us != 0 && load_us != 0 ? load_us + 1 : 0;
    loads->load_us = load_us;
}

bool pg_loads_is_foreign(const struct pg_loads *loads, int64_t load_us, uint64_t now_ms)
{
    return loads->load_us != 0 && load_us != 0 && load_us != loads->load_us &&
           !is_owed(loads, load_us, now_ms);
}

bool pg_loads_see(struct pg_loads *loads, int64_t load_us, uint64_t now_ms)
{
    bool foreign = pg_loads_is_foreign(loads, load_us, now_ms);
    if (load_us == 0) {
        return false;
    }
    if (is_owed(loads, load_us, now_ms) || now_ms >= loads->owed_until_ms) {
        loads->asked_us = 0;
    }
    loads->load_us = load_us;
    return foreign;
}

static bool is_owed(const struct pg_loads *loads, int64_t load_us, uint64_t now_ms)
{
    return loads->asked_us != 0 && load_us >= loads->asked_us && now_ms < loads->owed_until_ms;
}
