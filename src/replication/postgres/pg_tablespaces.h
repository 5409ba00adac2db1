/* SPDX-License-Identifier: Apache-2.0 */
/* Tablespaces: parts of a data folder that lie outside of it. They are put aside with it, so that
 * what is kept is whole, and because no base backup is made into places that are in use. */
#ifndef INDABA_REPLICATION_POSTGRES_PG_TABLESPACES_H
#define INDABA_REPLICATION_POSTGRES_PG_TABLESPACES_H

#include "replication/postgres/pg_config_file.h"

/* Remembers in state/ where they are now, for the time when the data folder is lost. */
void pg_tablespaces_note(const struct pg_place *place);
/* Moves them into stranded/<name>.tablespaces, and lets the folder's links follow. Before the
 * folder itself is put aside. */
MUST_CHECK enum error
pg_tablespaces_put_aside(struct work *work, const struct pg_place *place, const char *name);
/* Before a folder is built: what is left of the tablespaces of one that is lost, likewise. */
MUST_CHECK enum error pg_tablespaces_make_room(struct work *work, const struct pg_place *place);

#endif
