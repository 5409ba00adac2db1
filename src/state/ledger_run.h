/* SPDX-License-Identifier: Apache-2.0 */
/* Digest leaves: entries of busy kinds get no leaf each, but one for a run of them, which holds the
 * root of a tree over their hashes. What is hashed of an entry is the leaf that it would have had.
 * The open run is part of the state; it becomes a leaf when it is full or old, and before any leaf
 * of another entry, so that leaves stay in the order of the log. Internal to the ledger. */
#ifndef INDABA_STATE_LEDGER_RUN_H
#define INDABA_STATE_LEDGER_RUN_H

#include "state/change.h"
#include "state/merkle.h"

#define LEDGER_RUN_KIND "kv.digest"

enum {
    LEDGER_RUN_COMMANDS_MAX = 1000, /* then it is closed; the last entry may exceed it */
    LEDGER_RUN_ENTRIES_MAX = 1000,
    LEDGER_RUN_AGE_MS = 10000 /* by the leader's wall clock, which entries carry */
};

struct ledger_run {
    uint64_t first;   /* log index of its first entry */
    uint32_t entries; /* 0: no run is open */
    uint32_t commands;
    uint64_t opened_wall_ms;
    uint64_t wall_ms; /* of the last entry */
    uint64_t term;    /* of the last entry */
};

void ledger_run_get(const struct tables *tables, struct ledger_run *run_out);
/* Adds an entry, whose hash this is, to the open run or to a new one; saves it. */
void ledger_run_add(struct change *change,
                    uint32_t commands,
                    struct sha256 hash,
                    struct ledger_run *run_out);
bool ledger_run_is_due(const struct ledger_run *run);
/* Forgets the open run; the hashes of its entries stay. */
void ledger_run_close(struct change *change);

/* The tree over the entries of a run. ERR_CORRUPT if a hash is missing. */
MUST_CHECK enum error ledger_run_root(const struct tables *tables,
                                      uint64_t first,
                                      uint32_t entries,
                                      struct sha256 *root_out);
/* The hash of one entry of any run; ERR_CORRUPT. */
MUST_CHECK enum error
ledger_run_entry(const struct tables *tables, uint64_t index, struct sha256 *hash_out);
MUST_CHECK enum error ledger_run_inclusion(const struct tables *tables,
                                           const struct ledger_run *run,
                                           uint64_t index,
                                           struct merkle_proof *proof_out);

/* What a digest leaf carries as its payload. */
void ledger_run_encode(struct buf *out, const struct ledger_run *run, const struct sha256 *root);
/* Fills first, entries and commands. ERR_CORRUPT. */
MUST_CHECK enum error
ledger_run_decode(struct slice payload, struct ledger_run *run_out, struct sha256 *root_out);

#endif
