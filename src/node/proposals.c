/* SPDX-License-Identifier: Apache-2.0 */
/* See proposals.h. A ring of waiters in the order of their indexes. */
#include "node/proposals.h"

#include "base/check.h"
#include "base/mem.h"

struct waiting {
    uint64_t index;
    uint64_t term;
    struct proposals_waiter waiter;
};

struct proposals {
    struct waiting *ring; /* cap is a power of two */
    uint32_t cap;
    uint32_t first;
    uint32_t count;
    uint64_t last_index;
};

static struct waiting *at(const struct proposals *proposals, uint32_t position);
static void grow(struct proposals *proposals);
static struct waiting pop(struct proposals *proposals);

struct proposals *proposals_new(void)
{
    struct proposals *proposals = mem_new(sizeof(*proposals));
    proposals->cap = 64;
    proposals->ring = mem_new_array(proposals->cap, sizeof(*proposals->ring));
    return proposals;
}

void proposals_free(struct proposals *proposals)
{
    mem_free(proposals->ring);
    mem_free(proposals);
}

enum error proposals_add(struct proposals *proposals,
                         uint64_t index,
                         uint64_t term,
                         struct proposals_waiter waiter)
{
    CHECK(waiter.done != NULL);
    CHECK(proposals->count == 0 || index > proposals->last_index);
    if (proposals->count == PROPOSALS_MAX) {
        return ERR_EXHAUSTED;
    }
    if (proposals->count == proposals->cap) {
        grow(proposals);
    }
    *at(proposals, proposals->count) =
        (struct waiting){.index = index, .term = term, .waiter = waiter};
    proposals->count++;
    proposals->last_index = index;
    return ERR_OK;
}

void proposals_applied(struct proposals *proposals,
                       uint64_t index,
                       uint64_t term,
                       const struct command_result *result)
{
    while (proposals->count > 0 && at(proposals, 0)->index <= index) {
        struct waiting waiting = pop(proposals);
        bool applied = waiting.index == index && waiting.term == term;
        waiting.waiter.done(
            applied ? ERR_OK : ERR_NOT_LEADER, applied ? result : NULL, waiting.waiter.ctx);
    }
}

void proposals_lost(struct proposals *proposals)
{
    /* Those added by a waiter's own callback belong to what comes next. */
    uint32_t count = proposals->count;
    for (uint32_t i = 0; i < count; i++) {
        struct waiting waiting = pop(proposals);
        waiting.waiter.done(ERR_OUTCOME_UNKNOWN, NULL, waiting.waiter.ctx);
    }
}

uint32_t proposals_count(const struct proposals *proposals)
{
    return proposals->count;
}

static struct waiting *at(const struct proposals *proposals, uint32_t position)
{
    return &proposals->ring[(proposals->first + position) & (proposals->cap - 1)];
}

static void grow(struct proposals *proposals)
{
    struct waiting *ring = mem_new_array((size_t)proposals->cap * 2, sizeof(*ring));
    for (uint32_t i = 0; i < proposals->count; i++) {
        ring[i] = *at(proposals, i);
    }
    mem_free(proposals->ring);
    proposals->ring = ring;
    proposals->cap *= 2;
    proposals->first = 0;
}

static struct waiting pop(struct proposals *proposals)
{
    CHECK(proposals->count > 0);
    struct waiting waiting = *at(proposals, 0);
    proposals->first = (proposals->first + 1) & (proposals->cap - 1);
    proposals->count--;
    return waiting;
}
