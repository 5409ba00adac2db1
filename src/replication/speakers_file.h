/* SPDX-License-Identifier: Apache-2.0 */
/* The coordinators that a sidecar knows, kept beside its promises (state/members). Without the file
 * it knows nobody, and asks the configured addresses. */
#ifndef INDABA_REPLICATION_SPEAKERS_FILE_H
#define INDABA_REPLICATION_SPEAKERS_FILE_H

#include "replication/speakers.h"

/* ERR_NOT_FOUND; ERR_CORRUPT, ERR_VERSION; errors of the disk. */
MUST_CHECK enum error speakers_file_load(const char *path, struct speakers *speakers_out);
/* Durable when it returns ERR_OK. */
MUST_CHECK enum error speakers_file_save(const char *path, const struct speakers *speakers);

#endif
