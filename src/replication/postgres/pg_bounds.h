/* SPDX-License-Identifier: Apache-2.0 */
/* Five settings of which a standby needs at least what its primary had: a lower one pauses its
 * replay while it runs, and ends its start. Every start here is a recovery, so this holds for what
 * was a primary, too. The folder's control file has the values of whoever wrote the WAL replayed so
 * far. */
#ifndef INDABA_REPLICATION_POSTGRES_PG_BOUNDS_H
#define INDABA_REPLICATION_POSTGRES_PG_BOUNDS_H

#include "base/buf.h"
#include "replication/postgres/pg_conn.h"

enum {
    PG_BOUNDS_COUNT = 5
};

struct pg_bounds {
    uint64_t values[PG_BOUNDS_COUNT]; /* in the order of pg_bounds_name */
    uint64_t system_identifier;
};

/* "max_connections", …; `at` below PG_BOUNDS_COUNT. */
const char *pg_bounds_name(int at);
/* Reads what pg_controldata prints. ERR_CORRUPT if one of them is not there. */
MUST_CHECK enum error pg_bounds_parse(const char *text, struct pg_bounds *bounds_out);
/* True if the line, of a file in the form of postgresql.conf, sets `name`. */
bool pg_bounds_line_sets(const char *line, const char *name);
/* True if the text, in the form of postgresql.conf, sets `name` or includes other files. */
bool pg_bounds_may_set(const char *text, const char *name);
/* Copies all lines that do not set `name`; `kept` is a string, ended. */
void pg_bounds_without(const char *text, const char *name, struct buf *kept);

/* Of the folder, by its control file. */
MUST_CHECK enum error
pg_bounds_needed(struct work *work, const struct pg_place *place, struct pg_bounds *needed_out);
/* ERR_PRECONDITION: they are of another database than the shard's (0: not known yet). */
MUST_CHECK enum error pg_bounds_ours(struct work *work,
                                     const struct pg_place *place,
                                     const struct pg_bounds *found,
                                     uint64_t system_identifier);
/* Of a running standby: what of it is lower than needed, as a text; "" nothing. */
MUST_CHECK enum error pg_bounds_lower(struct work *work,
                                      struct pg_conn *conn,
                                      const struct pg_place *place,
                                      char *text_out);
/* Of a running standby: `room` is what max_replication_slots leaves for slots of siblings. Once it
 * is primary it needs as many, and only a start can make more. As a text; "" it is enough. */
void pg_bounds_slots_low(uint64_t room, char *text_out);
/* Before a start, after the settings were written: writes run/bounds.conf, which wins over them,
 * with whatever is configured lower than needed, and says so in the log; room for the slots of
 * siblings, too. */
MUST_CHECK enum error
pg_bounds_raise(struct work *work, const struct pg_place *place, struct pg_bounds *needed_out);

#endif
