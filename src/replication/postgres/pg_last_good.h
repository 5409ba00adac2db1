/* SPDX-License-Identifier: Apache-2.0 */
/* What ALTER SYSTEM sets is first tried at the next start, and by then on every instance: a library
 * that is not there, or more memory than there is, and nobody starts any more. So the settings of
 * the last start that came up are kept, and set back when starts fail with others. */
#ifndef INDABA_REPLICATION_POSTGRES_PG_LAST_GOOD_H
#define INDABA_REPLICATION_POSTGRES_PG_LAST_GOOD_H

#include "replication/postgres/pg_config_file.h"

/* Before a start, of which so many failed in a row: settings that are not those of the last one
 * that came up are put aside, into a file of the state folder. */
MUST_CHECK enum error
pg_last_good_begin(struct work *work, const struct pg_place *place, uint32_t failures);
/* It came up. To be called on a thread, at each look: does something at the first one. */
void pg_last_good_worked(const struct pg_place *place);
/* For people: what was put aside and is still there; "" nothing. Blocks on the disk. */
void pg_last_good_tell(const struct pg_place *place, char *text, size_t size);

#endif
