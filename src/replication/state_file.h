/* SPDX-License-Identifier: Apache-2.0 */
/* The keeper's state on disk: one small file, checked by XXH3, replaced as a whole (write, fsync,
 * rename, fsync of the folder). Lives in the sidecar's state folder, never in the data folder. */
#ifndef INDABA_REPLICATION_STATE_FILE_H
#define INDABA_REPLICATION_STATE_FILE_H

#include "replication/keeper.h"

/* ERR_NOT_FOUND: never written. ERR_CORRUPT: damaged; ERR_VERSION: written by a later version.
 * Errors of the disk as they are. */
MUST_CHECK enum error state_file_load(const char *path, struct keeper_state *state_out);

/* Durable when it returns ERR_OK; on an error the old content may or may not have been replaced. */
MUST_CHECK enum error state_file_save(const char *path, const struct keeper_state *state);

#endif
