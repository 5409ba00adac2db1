/* SPDX-License-Identifier: Apache-2.0 */
/* The last words of a server that did not start, out of its log. */
#ifndef INDABA_REPLICATION_POSTGRES_PG_WORDS_H
#define INDABA_REPLICATION_POSTGRES_PG_WORDS_H

#include "replication/postgres/pg_config_file.h"

/* Why it ended, by the end of its log (a string): the last fatal error with its detail, and what is
 * wrong with a configuration file. `words` of WORK_MESSAGE_SIZE bytes; "" if it does not say. */
void pg_words_find(const char *log, char *words);
/* The same out of log/postgres.log. Blocks on the disk: on a driver's own thread. */
void pg_words_read(const struct pg_place *place, char *words);

/* True if the newest words of a receiver are that its upstream has not what it asked for any more.
 */
bool pg_words_say_wal_is_lost(const char *log);
bool pg_words_wal_is_lost(const struct pg_place *place);

#endif
