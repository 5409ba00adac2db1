/* SPDX-License-Identifier: Apache-2.0 */
/* What a log must hold, kept beside a real one: writes that were acknowledged, and the writes of
 * the one call that was not, of which any number from the front may have happened. */
#ifndef INDABA_TESTS_WAL_MODEL_H
#define INDABA_TESTS_WAL_MODEL_H

#include "storage/wal.h"

enum {
    MODEL_ENTRIES_MAX = 8192,
    MODEL_PENDING_MAX = 8
};

struct wal_model {
    uint64_t terms[MODEL_ENTRIES_MAX]; /* by index; what a payload holds follows from both */
    uint64_t base;                     /* entries up to here are gone by a restart */
    uint64_t last;
    uint64_t cut; /* entries below may be gone */
    struct raft_hard_state hard_state;
};

/* What the write does to the model. */
void wal_model_apply(struct wal_model *model, const struct raft_write *write);

/* Whether a recovered log is this model's; `why_out` says where they differ. */
bool wal_model_matches(const struct wal_model *model,
                       const struct wal_recovered *recovered,
                       const char **why_out);

#endif
