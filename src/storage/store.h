/* SPDX-License-Identifier: Apache-2.0 */
/* The applied state on disk: LMDB, one database per table (state/tables.h), one write transaction
 * that stays open across entries and is committed every 50 ms or 2 MiB. That is sound because the
 * log is durable and replay is exact: after a crash the state is that of the last commit, its own
 * meta rows say which index that is, and the entries after it are applied again.
 *
 * Threads: one thread, the apply thread, makes every call from store_begin to store_commit, and
 * reads inside the open transaction (so a linearizable read sees what was just applied). LMDB's
 * errors in the middle of a transaction have no way back and end the process with a clear line; it
 * recovers by replay. Never open a folder twice in one process. */
#ifndef INDABA_STORAGE_STORE_H
#define INDABA_STORAGE_STORE_H

#include "base/reason.h"
#include "state/tables.h"

#include <stdbool.h>

struct store;

enum {
    STORE_COMMIT_MS = 50,
    STORE_COMMIT_BYTES = 2 * 1024 * 1024,
    /* Far more than one transaction can dirty: STORE_COMMIT_BYTES of rows, each of which may copy a
     * path of pages, and one entry on top, which may delete 50,000 keys on as many pages. */
    STORE_MAP_MARGIN_BYTES = 512 * 1024 * 1024,
    STORE_FORMAT = 2
};

struct store_options {
    const char *path; /* an existing folder */
    /* The largest that the store can ever be; 0: 256 GiB. Addresses, not disk: the file grows with
     * what is written. It stays as it is while the store is open, for readers look at it. */
    uint64_t map_bytes;
    bool read_only; /* a stopped member's folder: tables can be read, nothing is written */
};

/* ERR_CORRUPT, ERR_VERSION, ERR_NO_SPACE, ERR_DENIED, ERR_IO …; the reason says what to do. */
MUST_CHECK enum error
store_open(const struct store_options *options, struct reason *reason, struct store **store_out);
/* Drops what is not committed. The thread of an open transaction must have ended it before: LMDB's
 * write lock belongs to that thread. */
void store_close(struct store *store);

/* Opens the transaction if none is open; `now_ms` is the monotonic clock. A read-only store takes a
 * snapshot. ERR_IO, ERR_NO_SPACE … are final: the process should end. */
MUST_CHECK enum error store_begin(struct store *store, uint64_t now_ms);

/* The tables, valid as long as the store; used only while a transaction is open. */
const struct tables *store_tables(struct store *store);

/* Whether the open transaction is old or large enough to be committed; false if nothing was
 * written. */
bool store_wants_commit(const struct store *store, uint64_t now_ms);

/* Makes the open transaction durable. It holds the state after `applied_index`; ERR_PRECONDITION,
 * and nothing happens, if that is above `durable_index`, the last index durable in the local log
 * (then the store could know what the log forgets: safety.md 6). Other errors are final. */
MUST_CHECK enum error
store_commit(struct store *store, uint64_t applied_index, uint64_t durable_index);

/* Drops the open transaction. */
void store_abort(struct store *store);

/* The applied_index of the last commit, 0 in a new store. */
uint64_t store_committed_index(const struct store *store);
/* Bytes in use, and the size of the map, as of the last commit. */
void store_usage(const struct store *store, uint64_t *used_out, uint64_t *map_out);
/* With these figures, whether what makes the state grow must be refused: a transaction that meets
 * the end of the map ends the process. */
bool store_is_nearly_full(uint64_t used, uint64_t map);
/* Why the last call failed. */
const struct reason *store_reason(const struct store *store);

#endif
