/* SPDX-License-Identifier: Apache-2.0 */
/* What the records of a log mean, one after the other: entries appended, the hard state replaced, a
 * suffix dropped. Pure; wal_recover feeds it. */
#ifndef INDABA_STORAGE_WAL_REPLAY_H
#define INDABA_STORAGE_WAL_REPLAY_H

#include "storage/wal.h"
#include "storage/wal_record.h"

/* Applies one valid record. ERR_CORRUPT, nothing changed, if it contradicts those before it: an
 * index that leaves a gap, a term that goes back. */
MUST_CHECK enum error wal_replay(struct wal_recovered *recovered, const struct wal_record *record);

/* Drops every entry at or above `index`. ERR_CORRUPT if the log does not reach up to it. */
MUST_CHECK enum error wal_replay_truncate(struct wal_recovered *recovered, uint64_t index);

/* The index the next entry must have. */
uint64_t wal_replay_next_index(const struct wal_recovered *recovered);

#endif
