/* SPDX-License-Identifier: Apache-2.0 */
/* The nonce of a start. Each start of the database puts a fresh one into the data folder, into the
 * state folder and into its guardian's memory. A folder that was exchanged, or set back with all
 * that lies beside it, differs from what the guardian remembers (docs/safety.md, section 2). */
#ifndef INDABA_REPLICATION_START_NONCE_H
#define INDABA_REPLICATION_START_NONCE_H

#include "replication/guard_link.h"
#include "replication/work.h"

struct start_place {
    const char *data;           /* the data folder, the database's user's */
    const char *state;          /* the state folder, ours */
    const struct os_user *user; /* the database's */
};

/* Before a start, on the action thread: reads the nonce that is there, puts a fresh one in its
 * place, durably. */
MUST_CHECK enum error start_nonce_stamp(struct work *work,
                                        const struct start_place *place,
                                        struct guard_start *start_out);

/* The folder as it lies there; its nonce is 0 if there is none, or the state folder says another.
 * On a driver's thread. */
void start_nonce_read(const struct start_place *place, struct guard_folder *folder_out);

#endif
