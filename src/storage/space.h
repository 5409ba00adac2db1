/* SPDX-License-Identifier: Apache-2.0 */
/* How much room the file system of a member's folder has left, and a reserve on it: a file,
 * `reserve`, that only takes space. While there is little room, commands that make the state grow
 * are refused; when even less is left the reserve is given up, so that what must go on (votes,
 * failovers, an operator's way out) still finds room. Once there is space again the reserve is made
 * anew and the refusals end, without a restart. */
#ifndef INDABA_STORAGE_SPACE_H
#define INDABA_STORAGE_SPACE_H

#include "storage/disk.h"

#include <stdbool.h>

struct space;

/* Bytes free beside the reserve. Twice the largest batch of the log and a transaction of the store
 * fit below SPACE_CRITICAL_BYTES. */
enum {
    SPACE_LOW_BYTES = 96 * 1024 * 1024,
    SPACE_CRITICAL_BYTES = 48 * 1024 * 1024,
    SPACE_RESERVE_BYTES = 64 * 1024 * 1024
};

/* Never NULL. `disk` and `folder` are borrowed. Not measured yet. */
struct space *space_new(const struct disk *disk, const char *folder);
void space_free(struct space *space);

/* Measures, then makes the reserve or gives it up. Blocks as file operations do; one thread at a
 * time. What cannot be measured is left as it was. */
void space_step(struct space *space);

/* As of the last step; any thread. */
uint64_t space_free_bytes(const struct space *space);
/* Whether growth is refused: from SPACE_LOW_BYTES down, until the reserve is whole again. */
bool space_is_low(const struct space *space);
bool space_has_reserve(const struct space *space);

#endif
