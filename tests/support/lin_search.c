/* SPDX-License-Identifier: Apache-2.0 */
/* The search of Wing and Gong (1993) with Lowe's memory (2017): take some operation that has begun
 * and whose results are right now, go on; at a completion of one not yet taken, go back. A pair of
 * (operations taken, state) is never tried twice; pairs are known by a 128-bit sum, so that a
 * violation reported in error has a probability of about 2^-80.
 *
 * An unknown operation has no completion: the search may leave it out. */
#include "base/check.h"
#include "base/mem.h"
#include "base/prng.h"
#include "tests/support/lin_internal.h"

#include <stdlib.h>
#include <string.h>

struct entry {
    uint64_t time;
    uint32_t op; /* number in the part */
    bool is_return;
    uint32_t previous; /* in the list of what is not taken; entry 0 is its head */
    uint32_t next;     /* 0: the end */
    uint32_t partner;  /* the call's return, 0 none; the return's call */
};

struct sum {
    uint64_t a;
    uint64_t b;
};

struct frame {
    uint32_t call;       /* entry */
    uint32_t undo_first; /* what it overwrote, from here on the undo stack */
    struct sum sum;      /* before it */
};

struct undo {
    uint32_t slot;
    uint64_t value;
};

struct search {
    const struct lin_part *part;
    struct entry *entries; /* from 1 */
    uint32_t entries_count;
    uint64_t *values; /* by slot */
    struct sum sum;
    struct frame *frames;
    uint32_t frames_count;
    struct undo *undos;
    uint32_t undos_count;
    uint32_t undos_cap;
    uint32_t open; /* operations that must still be taken */
    struct sum *known;
    uint64_t known_count;
    uint64_t known_cap; /* a power of two */
    uint64_t steps;
    uint32_t deepest; /* frames at the furthest point, and who could not be taken there */
    uint32_t blocked;
    uint32_t blocked_after;
};

static void search_init(struct search *search, const struct lin_part *part);
static void search_deinit(struct search *search);
static bool take(struct search *search, uint32_t call);
static bool give_back(struct search *search, uint32_t *resume_out);
static void note_blocked(struct search *search, uint32_t at);

void lin_search_check(const struct lin_part *part, struct lin_verdict *verdict)
{
    struct search search;
    enum lin_judgement judgement = LIN_LINEARIZABLE;

    search_init(&search, part);
    uint32_t at = search.entries[0].next;
    while (search.open > 0 && judgement == LIN_LINEARIZABLE) {
        CHECK(at != 0);
        if (++search.steps > part->steps_max) {
            judgement = LIN_UNDECIDED;
        } else if (search.entries[at].is_return) {
            note_blocked(&search, at);
            if (!give_back(&search, &at)) {
                judgement = LIN_VIOLATED;
            }
        } else if (take(&search, at)) {
            at = search.entries[0].next;
        } else {
            at = search.entries[at].next;
        }
    }
    verdict->search_steps += search.steps;
    if (judgement != LIN_LINEARIZABLE) {
        uint32_t culprits[] = {search.blocked, search.blocked_after};
        lin_blame(verdict,
                  judgement,
                  judgement == LIN_VIOLATED ? "no order gives this result (after the second)"
                                            : "too many orders to try",
                  culprits,
                  search.blocked == LIN_NONE         ? 0
                  : search.blocked_after == LIN_NONE ? 1
                                                     : 2);
    }
    search_deinit(&search);
}

static int compare_entries(const void *a, const void *b)
{
    const struct entry *left = a;
    const struct entry *right = b;

    if (left->time != right->time) {
        return left->time < right->time ? -1 : 1;
    }
    if (left->is_return != right->is_return) {
        return left->is_return ? 1 : -1; /* equal times are concurrent: calls first */
    }
    return left->op < right->op ? -1 : left->op > right->op;
}

static void link_entries(struct search *search, uint32_t ops_count)
{
    uint32_t *calls = mem_new_array(ops_count, sizeof(*calls));

    for (uint32_t i = 1; i <= search->entries_count; i++) {
        struct entry *entry = &search->entries[i];
        entry->previous = i - 1;
        entry->next = i < search->entries_count ? i + 1 : 0;
        entry->partner = 0;
        if (!entry->is_return) {
            calls[entry->op] = i;
        } else {
            entry->partner = calls[entry->op];
            search->entries[entry->partner].partner = i;
        }
    }
    search->entries[0].next = search->entries_count > 0 ? 1 : 0;
    mem_free(calls);
}

static void search_init(struct search *search, const struct lin_part *part)
{
    *search = (struct search){.part = part, .blocked = LIN_NONE, .blocked_after = LIN_NONE};
    search->entries = mem_new_array(2 * (size_t)part->ops_count + 1, sizeof(*search->entries));
    search->values = mem_new_array(part->slots_count, sizeof(*search->values));
    search->frames = mem_new_array(part->ops_count, sizeof(*search->frames));
    search->known_cap = 1024;
    search->known = mem_new_array(search->known_cap, sizeof(*search->known));
    for (uint32_t i = 0; i < part->ops_count; i++) {
        const struct lin_op *op = &part->history->ops[part->ops[i]];
        search->entries[++search->entries_count] = (struct entry){.time = op->invoke, .op = i};
        if (op->outcome == LIN_OK) {
            search->entries[++search->entries_count] =
                (struct entry){.time = op->complete, .op = i, .is_return = true};
            search->open++;
        }
    }
    qsort(search->entries + 1, search->entries_count, sizeof(*search->entries), compare_entries);
    link_entries(search, part->ops_count);
}

static void search_deinit(struct search *search)
{
    mem_free(search->entries);
    mem_free(search->values);
    mem_free(search->frames);
    mem_free(search->undos);
    mem_free(search->known);
}

/* --- the state ------------------------------------------------------------------------------ */

/* The share of (what, value) in a sum. */
static void mix(struct sum *sum, uint64_t what, uint64_t value)
{
    struct prng prng;

    prng_init(&prng, what * UINT64_C(0x9E3779B97F4A7C15) ^ value);
    sum->a ^= prng_next(&prng);
    sum->b ^= prng_next(&prng);
}

static void set_value(struct search *search, uint32_t slot, uint64_t value)
{
    if (search->undos_count == search->undos_cap) {
        search->undos_cap = search->undos_cap == 0 ? 64 : search->undos_cap * 2;
        search->undos = mem_resize(search->undos, search->undos_cap * sizeof(*search->undos));
    }
    search->undos[search->undos_count++] =
        (struct undo){.slot = slot, .value = search->values[slot]};
    mix(&search->sum, (uint64_t)slot << 1, search->values[slot]);
    search->values[slot] = value;
    mix(&search->sum, (uint64_t)slot << 1, value);
}

static void undo_to(struct search *search, uint32_t count)
{
    while (search->undos_count > count) {
        const struct undo *undo = &search->undos[--search->undos_count];
        search->values[undo->slot] = undo->value;
    }
}

/* Does what the operation does; false if its results would be wrong now. */
static bool apply(struct search *search, const struct lin_op *op)
{
    const struct lin_part *part = search->part;
    bool holds = true;
    bool guarded = false;

    for (uint32_t i = op->first_step; i < op->first_step + op->steps_count; i++) {
        const struct lin_step *step = &part->history->steps[i];
        if (step->kind == LIN_EXPECT) {
            guarded = true;
            holds = holds && search->values[part->slots[i]] == step->value;
        }
    }
    if (guarded && op->outcome == LIN_OK && holds != op->succeeded) {
        return false;
    }
    for (uint32_t i = op->first_step; i < op->first_step + op->steps_count; i++) {
        const struct lin_step *step = &part->history->steps[i];
        if (step->kind == LIN_EXPECT || (step->branch == LIN_THEN && !holds) ||
            (step->branch == LIN_ELSE && holds)) {
            continue;
        }
        if (step->kind == LIN_WRITE) {
            set_value(search, part->slots[i], step->value);
        } else if (op->outcome == LIN_OK && search->values[part->slots[i]] != step->value) {
            return false;
        }
    }
    return true;
}

/* --- the memory ----------------------------------------------------------------------------- */

static bool put(struct sum *known, uint64_t cap, struct sum sum)
{
    for (uint64_t at = sum.a & (cap - 1);; at = (at + 1) & (cap - 1)) {
        if (known[at].a == sum.a && known[at].b == sum.b) {
            return false;
        }
        if (known[at].a == 0 && known[at].b == 0) {
            known[at] = sum;
            return true;
        }
    }
}

/* False if it is known already. */
static bool remember(struct search *search, struct sum sum)
{
    if (search->known_count * 2 >= search->known_cap) {
        struct sum *grown = mem_new_array(search->known_cap * 2, sizeof(*grown));
        for (uint64_t i = 0; i < search->known_cap; i++) {
            if (search->known[i].a != 0 || search->known[i].b != 0) {
                (void)put(grown, search->known_cap * 2, search->known[i]);
            }
        }
        mem_free(search->known);
        search->known = grown;
        search->known_cap *= 2;
    }
    bool fresh = put(search->known, search->known_cap, sum);
    search->known_count += fresh;
    return fresh;
}

/* --- moves ---------------------------------------------------------------------------------- */

static void unlink_entry(struct search *search, uint32_t at)
{
    const struct entry *entry = &search->entries[at];

    search->entries[entry->previous].next = entry->next;
    if (entry->next != 0) {
        search->entries[entry->next].previous = entry->previous;
    }
}

static void relink_entry(struct search *search, uint32_t at)
{
    const struct entry *entry = &search->entries[at];

    search->entries[entry->previous].next = at;
    if (entry->next != 0) {
        search->entries[entry->next].previous = at;
    }
}

/* Takes the operation next in the order, if its results are right and this was not tried. */
static bool take(struct search *search, uint32_t call)
{
    const struct entry *entry = &search->entries[call];
    const struct lin_op *op = &search->part->history->ops[search->part->ops[entry->op]];
    struct frame frame = {.call = call, .undo_first = search->undos_count, .sum = search->sum};

    bool right = apply(search, op);
    mix(&search->sum, ((uint64_t)entry->op << 1) | 1, 1);
    if (!right || !remember(search, search->sum)) {
        undo_to(search, frame.undo_first);
        search->sum = frame.sum;
        return false;
    }
    search->frames[search->frames_count++] = frame;
    unlink_entry(search, call);
    if (entry->partner != 0) {
        unlink_entry(search, entry->partner);
        search->open--;
    }
    return true;
}

/* Undoes the last move; the search goes on behind it. False if there is none. */
static bool give_back(struct search *search, uint32_t *resume_out)
{
    if (search->frames_count == 0) {
        return false;
    }
    const struct frame *frame = &search->frames[--search->frames_count];
    const struct entry *entry = &search->entries[frame->call];
    if (entry->partner != 0) {
        relink_entry(search, entry->partner);
        search->open++;
    }
    relink_entry(search, frame->call);
    undo_to(search, frame->undo_first);
    search->sum = frame->sum;
    *resume_out = entry->next;
    return true;
}

/* Remembers, for the message, who was in the way at the furthest point. */
static void note_blocked(struct search *search, uint32_t at)
{
    const uint32_t *ops = search->part->ops;

    if (search->blocked == LIN_NONE || search->frames_count > search->deepest) {
        search->deepest = search->frames_count;
        search->blocked = ops[search->entries[at].op];
        search->blocked_after = LIN_NONE;
        if (search->frames_count > 0) {
            uint32_t last = search->frames[search->frames_count - 1].call;
            search->blocked_after = ops[search->entries[last].op];
        }
    }
}
