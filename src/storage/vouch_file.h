/* SPDX-License-Identifier: Apache-2.0 */
/* Whom a person has vouched for on a member's machine (DIR/vouched): a few members that this one
 * does not know, and is to believe until its own record knows them. Written by a command, read by
 * the member; replaced whole, so neither waits for the other. Blocking; one thread at a time. */
#ifndef INDABA_STORAGE_VOUCH_FILE_H
#define INDABA_STORAGE_VOUCH_FILE_H

#include "base/reason.h"
#include "model/records.h"
#include "storage/disk.h"

enum {
    VOUCHES_MAX = 16
};

struct vouch {
    struct member_id id;
    char name[NAME_SIZE];
    char by[NAME_SIZE];     /* the system user who typed it */
    char reason[TEXT_SIZE]; /* "" if none was given */
    uint64_t wall_ms;
};

struct vouches {
    struct vouch items[VOUCHES_MAX]; /* oldest first */
    uint32_t count;
};

/* None (and ERR_OK) if there is no such file; ERR_CORRUPT, ERR_VERSION, errors of the disk. */
MUST_CHECK enum error vouch_file_read(const struct disk *disk,
                                      const char *folder,
                                      struct reason *reason,
                                      struct vouches *vouches_out);
/* Makes or replaces it, whole and durable when it returns ERR_OK. */
MUST_CHECK enum error vouch_file_write(const struct disk *disk,
                                       const char *folder,
                                       const struct vouches *vouches,
                                       struct reason *reason);
/* In the place of one of the same name, else at the end; ERR_EXHAUSTED if it is full. */
MUST_CHECK enum error vouches_add(struct vouches *vouches, const struct vouch *vouch);

#endif
