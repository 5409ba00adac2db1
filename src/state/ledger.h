/* SPDX-License-Identifier: Apache-2.0 */
/* The append-only log of everything committed, hashed by RFC 6962: one leaf per log index, but for
 * runs of COMMAND_KV, which share a digest leaf (state/ledger_run.h, docs/adr/0009). A leaf
 * is a deterministic envelope (version, index, term, raft kind, kind, wall clock, actor, result,
 * message) around the exact bytes of the entry. Perfect subtrees are kept as nodes, so that roots
 * of any size and proofs need no rehash of old leaves. */
#ifndef INDABA_STATE_LEDGER_H
#define INDABA_STATE_LEDGER_H

#include "state/apply.h"
#include "state/change.h"
#include "state/merkle.h"
#include "state/query.h"

/* Appends the leaf of this entry, or adds it to the open run if it is a COMMAND_KV that brought
 * `ops` operations. */
void ledger_append(struct change *change,
                   const struct apply_entry *entry,
                   const char *kind,
                   const struct command_result *result,
                   uint32_t ops);

/* Where an entry of the log is. */
struct ledger_place {
    uint64_t number; /* of the leaf */
    bool in_run;     /* a digest leaf: what follows proves the entry's hash to be in it */
    struct merkle_proof proof;
    struct sha256 entry_hash;
    struct sha256 run_root;
    uint64_t run_first;
    uint32_t run_entries;
};

/* ERR_NOT_FOUND for an index that no leaf covers yet. */
MUST_CHECK enum error
ledger_find(const struct tables *tables, uint64_t index, struct ledger_place *place_out);

/* Proofs from the stored nodes. ERR_RANGE for sizes the ledger does not have. */
MUST_CHECK enum error ledger_inclusion(const struct tables *tables,
                                       uint64_t number,
                                       uint64_t size,
                                       struct merkle_proof *proof_out);
MUST_CHECK enum error ledger_consistency(const struct tables *tables,
                                         uint64_t first,
                                         uint64_t second,
                                         struct merkle_proof *proof_out);

enum {
    LEDGER_PROBLEM_SIZE = 160
};

/* Recomputes every leaf's hash, every node and the root from the stored leaves and compares them
 * with what is stored. True if all agree; else `problem` names the first that does not. */
bool ledger_verify(const struct tables *tables, struct ledger_head *head_out, char *problem);

/* How far a verification has come; zeroed before it begins. */
struct ledger_verification {
    uint64_t leaves;  /* so many agree */
    uint64_t covered; /* the last log index that they cover */
    /* The last hash of each level that has no right sibling yet. */
    struct sha256 pending[MERKLE_LEVELS_MAX];
};

enum ledger_verdict {
    LEDGER_AGREES,
    LEDGER_DIFFERS,
    LEDGER_GOES_ON
};

/* The same in parts of about `rows` leaves and entries, between which others have their turn, and
 * may append: to be called until it does not go on any more. */
enum ledger_verdict ledger_verify_part(const struct tables *tables,
                                       struct ledger_verification *far,
                                       uint64_t rows,
                                       struct ledger_head *head_out,
                                       char *problem);

#endif
