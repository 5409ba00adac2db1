/* SPDX-License-Identifier: Apache-2.0 */
/* Whole data folders: made, removed, put in place, put aside. A folder named pgdata is complete;
 * one being built is pgdata.new until it is renamed. */
#ifndef INDABA_REPLICATION_POSTGRES_PG_FILES_H
#define INDABA_REPLICATION_POSTGRES_PG_FILES_H

#include "base/buf.h"
#include "replication/postgres/pg_config_file.h"

#include <dirent.h>

/* Removes a tree of ours; what is not there is no error. */
MUST_CHECK enum error
pg_files_remove(struct work *work, const struct pg_place *place, const char *path);
/* Makes an empty folder for the database's user. */
MUST_CHECK enum error
pg_files_make(struct work *work, const struct pg_place *place, const char *path);
/* pgdata.new, complete, becomes pgdata; durable. ERR_EXISTS if there is one. */
MUST_CHECK enum error pg_files_install(struct work *work, const struct pg_place *place);
/* pgdata becomes stranded/<name>, with a number behind it if that is taken; durable. No pgdata is
 * no error. */
MUST_CHECK enum error
pg_files_put_aside(struct work *work, const struct pg_place *place, const char *name);
/* standby.signal beside whatever runs: the next start, by anybody, is one as standby (E9). */
MUST_CHECK enum error pg_files_put_signal(struct work *work, const struct pg_place *place);
/* Notes which file that is, before a start; and whether it is still the same one. PostgreSQL takes
 * it away when a recovery ends, and whoever puts one back makes another, or moves this one. */
MUST_CHECK enum error pg_files_note_signal(struct work *work, const struct pg_place *place);
bool pg_files_signal_is_noted(const struct pg_place *place);

/* Opens a folder in the data folder, to be read and closed by the caller. */
MUST_CHECK enum error
pg_files_open_dir(struct work *work, const struct pg_place *place, const char *name, DIR **dir_out);

/* Reads a configuration file of the data folder as a string, into `text` with its zero; empty if
 * there is none. ERR_LIMIT above 256 KiB. */
MUST_CHECK enum error pg_files_read_conf(struct work *work,
                                         const struct pg_place *place,
                                         const char *name,
                                         struct buf *text);
/* Everything of the data folder's file system to disk. */
MUST_CHECK enum error pg_files_sync_all(struct work *work, const struct pg_place *place);

#endif
