/* SPDX-License-Identifier: Apache-2.0 */
/* The ring of writes under way, and what their completions make true. */
#include "raft/durable.h"

#include "base/check.h"
#include "base/mem.h"

enum {
    CAP_MIN = 16
};

static struct durable_write *write_at(const struct durable *durable, uint32_t i);
static void grow(struct durable *durable);

void durable_init(struct durable *durable, uint64_t index, struct raft_hard_state hard_state)
{
    *durable = (struct durable){.index = index, .hard_state = hard_state};
}

void durable_deinit(struct durable *durable)
{
    mem_free(durable->writes);
    *durable = (struct durable){0};
}

void durable_issue(struct durable *durable, struct raft_write *write, uint64_t last_index)
{
    CHECK(write->seq == 0);
    CHECK(write->has_hard_state || write->restart_index != 0 || write->truncate_from != 0 ||
          write->entries_count > 0);
    if (durable->count == durable->cap) {
        grow(durable);
    }
    durable->seq_issued++;
    write->seq = durable->seq_issued;
    durable->count++;
    *write_at(durable, durable->count - 1) = (struct durable_write){
        .seq = write->seq,
        .last_index = last_index,
        .has_hard_state = write->has_hard_state,
        .hard_state = write->hard_state,
    };
}

void durable_cut(struct durable *durable, uint64_t index)
{
    CHECK(index > 0);
    if (durable->index >= index) {
        durable->index = index - 1;
    }
    for (uint32_t i = 0; i < durable->count; i++) {
        struct durable_write *write = write_at(durable, i);
        if (write->last_index >= index) {
            write->last_index = index - 1;
        }
    }
}

void durable_restart(struct durable *durable, uint64_t index)
{
    CHECK(index > 0);
    durable->index = index;
    for (uint32_t i = 0; i < durable->count; i++) {
        struct durable_write *write = write_at(durable, i);
        if (write->last_index > index) {
            write->last_index = index;
        }
    }
}

void durable_complete(struct durable *durable, uint64_t seq)
{
    CHECK(seq <= durable->seq_issued);
    CHECK(seq >= durable->seq_done);
    while (durable->count > 0 && write_at(durable, 0)->seq <= seq) {
        const struct durable_write *write = write_at(durable, 0);
        if (write->last_index > durable->index) {
            durable->index = write->last_index;
        }
        if (write->has_hard_state) {
            durable->hard_state = write->hard_state;
        }
        durable->head = (durable->head + 1) % durable->cap;
        durable->count--;
    }
    durable->seq_done = seq;
}

bool durable_has_vote(const struct durable *durable, uint64_t term, struct member_id vote)
{
    return durable->hard_state.term == term && member_id_equal(durable->hard_state.vote, vote);
}

static struct durable_write *write_at(const struct durable *durable, uint32_t i)
{
    CHECK(i < durable->count);
    return &durable->writes[(durable->head + i) % durable->cap];
}

static void grow(struct durable *durable)
{
    uint32_t cap = durable->cap == 0 ? CAP_MIN : durable->cap * 2;
    struct durable_write *writes = mem_new_array(cap, sizeof(*writes));
    for (uint32_t i = 0; i < durable->count; i++) {
        writes[i] = *write_at(durable, i);
    }
    mem_free(durable->writes);
    durable->writes = writes;
    durable->head = 0;
    durable->cap = cap;
}
