/* SPDX-License-Identifier: Apache-2.0 */
/* The place where a data folder is built, when there is something already: an empty folder, what is
 * left of one that somebody wiped, or a mount point, which can be neither renamed nor removed. Into
 * a mount point the new folder is built as `.indaba-new` and moved up entry by entry, PG_VERSION
 * last: without it there is no data folder. */
#ifndef INDABA_REPLICATION_POSTGRES_PG_ROOM_H
#define INDABA_REPLICATION_POSTGRES_PG_ROOM_H

#include "replication/postgres/pg_config_file.h"

/* pgdata is a file system of its own. */
bool pg_room_is_mount(const struct pg_place *place);
/* Before a build, so that nothing is copied for nothing. What lies in pgdata and is no data folder
 * is put aside; in a mount point it is refused: ERR_EXISTS, with what to do. */
MUST_CHECK enum error pg_room_make(struct work *work, const struct pg_place *place);
/* Moves a complete .indaba-new up. Durable. */
MUST_CHECK enum error pg_room_move_up(struct work *work, const struct pg_place *place);
/* The data folder in a mount point becomes `.indaba-stranded-NAME` in it. */
MUST_CHECK enum error
pg_room_put_aside(struct work *work, const struct pg_place *place, const char *name);

#endif
