/* SPDX-License-Identifier: Apache-2.0 */
/* The mark in a member's folder (DIR/quarantine) of a state that a majority contradicts. While it
 * is there the member serves nothing and never leads; log, term and vote stand as before, for they
 * are promises. The mark says at which index the states were seen to differ, and whether the state
 * has been rebuilt since. Blocking; one thread at a time. */
#ifndef INDABA_STORAGE_QUARANTINE_MARK_H
#define INDABA_STORAGE_QUARANTINE_MARK_H

#include "base/reason.h"
#include "storage/disk.h"

#include <stdbool.h>

struct quarantine_mark {
    uint64_t index;  /* after this entry the states were different, > 0 */
    uint64_t ours;   /* our state's hash after it */
    uint64_t theirs; /* a majority's */
    bool rebuilt;    /* the state was made anew since, as far as that was possible */
};

/* ERR_NOT_FOUND if there is none; ERR_CORRUPT, ERR_VERSION, errors of the disk. */
MUST_CHECK enum error quarantine_mark_read(const struct disk *disk,
                                           const char *folder,
                                           struct reason *reason,
                                           struct quarantine_mark *mark_out);
/* Makes or replaces it, whole and durable when it returns ERR_OK. */
MUST_CHECK enum error quarantine_mark_write(const struct disk *disk,
                                            const char *folder,
                                            const struct quarantine_mark *mark,
                                            struct reason *reason);
/* Durably; none there is fine. */
MUST_CHECK enum error
quarantine_mark_remove(const struct disk *disk, const char *folder, struct reason *reason);

#endif
