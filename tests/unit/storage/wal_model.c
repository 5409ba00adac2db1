/* SPDX-License-Identifier: Apache-2.0 */
/* See wal_model.h. */
#include "tests/unit/storage/wal_model.h"

#include "base/check.h"

void wal_model_apply(struct wal_model *model, const struct raft_write *write)
{
    if (write->truncate_from != 0) {
        CHECK(write->truncate_from > model->base && write->truncate_from <= model->last + 1);
        model->last = write->truncate_from - 1;
    }
    if (write->has_hard_state) {
        model->hard_state = write->hard_state;
    }
    for (uint32_t i = 0; i < write->entries_count; i++) {
        CHECK(write->entries[i].index == model->last + 1);
        CHECK(model->last + 1 < MODEL_ENTRIES_MAX);
        model->terms[++model->last] = write->entries[i].term;
    }
}

bool wal_model_matches(const struct wal_model *model,
                       const struct wal_recovered *recovered,
                       const char **why_out)
{
    uint64_t first = recovered->first_index;
    if (first <= model->base || (first > model->base + 1 && first > model->cut)) {
        *why_out = "the first index";
        return false;
    }
    if (first + recovered->entries_count != model->last + 1) {
        *why_out = "the last index";
        return false;
    }
    for (uint64_t i = 0; i < recovered->entries_count; i++) {
        if (recovered->entries[i].term != model->terms[first + i]) {
            *why_out = "the term of an entry";
            return false;
        }
    }
    if (recovered->hard_state.term != model->hard_state.term ||
        !member_id_equal(recovered->hard_state.vote, model->hard_state.vote)) {
        *why_out = "term or vote";
        return false;
    }
    return true;
}
