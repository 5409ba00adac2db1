/* SPDX-License-Identifier: Apache-2.0 */
/* Who waits for which log index. A proposal is appended at an index and term; when the entry of
 * that index is applied with that term, its waiter gets the result; with another term it was never
 * applied. When leadership is lost after the append, nobody here knows: ERR_OUTCOME_UNKNOWN.
 * Pure: times are arguments. One thread. */
#ifndef INDABA_NODE_PROPOSALS_H
#define INDABA_NODE_PROPOSALS_H

#include "state/command.h"

struct proposals;

enum {
    PROPOSALS_MAX = 65536
};

/* ERR_OK: applied, `result` says how (its error included). Otherwise `result` is NULL:
 * ERR_OUTCOME_UNKNOWN, or surely not applied: ERR_NOT_LEADER, ERR_EXHAUSTED, ERR_NO_SPACE,
 * ERR_VERSION (some member does not know the command). */
typedef void (*proposals_done_fn)(enum error error, const struct command_result *result, void *ctx);

struct proposals_waiter {
    proposals_done_fn done;
    void *ctx;
};

struct proposals *proposals_new(void);
/* Waiters are dropped without a call. */
void proposals_free(struct proposals *proposals);

/* Indexes must ascend. ERR_EXHAUSTED beyond PROPOSALS_MAX. */
MUST_CHECK enum error proposals_add(struct proposals *proposals,
                                    uint64_t index,
                                    uint64_t term,
                                    struct proposals_waiter waiter);

/* The entry at `index`, of `term`, was applied. Indexes ascend. Waiters below it that were not
 * called are of entries that were replaced: ERR_NOT_LEADER. */
void proposals_applied(struct proposals *proposals,
                       uint64_t index,
                       uint64_t term,
                       const struct command_result *result);

/* Leadership was lost: every waiter is told ERR_OUTCOME_UNKNOWN. */
void proposals_lost(struct proposals *proposals);

uint32_t proposals_count(const struct proposals *proposals);

#endif
