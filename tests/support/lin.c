/* SPDX-License-Identifier: Apache-2.0 */
/* Histories, and their division into parts that can be checked apart: the order is a matter of each
 * key alone, unless an operation concerns several (Herlihy and Wing 1990, locality). */
#include "tests/support/lin.h"

#include "base/check.h"
#include "base/mem.h"
#include "tests/support/lin_internal.h"

#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

/* The division: keys in order, which part each belongs to, and the operations sorted by part. */
struct division {
    uint64_t *keys;
    uint32_t keys_count;
    uint32_t *parent;     /* by key: a tree of keys that share operations */
    uint32_t *slot;       /* by key: its number in its part */
    uint32_t *slots_of;   /* by root: keys in the part */
    uint32_t *step_slots; /* by step */
    uint32_t *order;      /* operations, part by part */
    uint32_t *root;       /* by operation; LIN_NONE: not looked at */
    uint32_t order_count;
};

static void divide(struct division *division, const struct lin_history *history);
static void check_parts(const struct division *division,
                        const struct lin_history *history,
                        uint64_t steps_max,
                        struct lin_verdict *verdict);

void lin_deinit(struct lin_history *history)
{
    mem_free(history->ops);
    mem_free(history->steps);
    *history = (struct lin_history){0};
}

uint32_t lin_add(struct lin_history *history,
                 const struct lin_op *op,
                 const struct lin_step *steps,
                 uint32_t count)
{
    CHECK(count > 0 && count <= LIN_STEPS_MAX);
    if (history->ops_count == history->ops_cap) {
        history->ops_cap = history->ops_cap == 0 ? 64 : history->ops_cap * 2;
        history->ops = mem_resize(history->ops, history->ops_cap * sizeof(*history->ops));
    }
    while (history->steps_count + count > history->steps_cap) {
        history->steps_cap = history->steps_cap == 0 ? 64 : history->steps_cap * 2;
        history->steps = mem_resize(history->steps, history->steps_cap * sizeof(*history->steps));
    }
    struct lin_op *own = &history->ops[history->ops_count];
    *own = *op;
    own->first_step = history->steps_count;
    own->steps_count = count;
    memcpy(history->steps + history->steps_count, steps, count * sizeof(*steps));
    history->steps_count += count;
    return history->ops_count++;
}

uint32_t lin_begin_read(struct lin_history *history, uint64_t process, uint64_t now, uint64_t key)
{
    struct lin_op op = {.process = process, .invoke = now, .outcome = LIN_UNKNOWN};
    struct lin_step step = {.kind = LIN_READ, .key = key};

    return lin_add(history, &op, &step, 1);
}

uint32_t
lin_begin_write(struct lin_history *history, uint64_t process, uint64_t now, struct lin_step step)
{
    struct lin_op op = {.process = process, .invoke = now, .outcome = LIN_UNKNOWN};

    step.kind = LIN_WRITE;
    return lin_add(history, &op, &step, 1);
}

void lin_end(struct lin_history *history, uint32_t number, uint64_t now, enum lin_outcome outcome)
{
    CHECK(number < history->ops_count);
    struct lin_op *op = &history->ops[number];
    CHECK(op->outcome == LIN_UNKNOWN && now >= op->invoke);
    op->complete = now;
    op->outcome = outcome;
}

void lin_end_read(struct lin_history *history, uint32_t number, uint64_t now, uint64_t value)
{
    lin_end(history, number, now, LIN_OK);
    history->steps[history->ops[number].first_step].value = value;
}

struct lin_verdict lin_check(const struct lin_history *history, uint64_t steps_max)
{
    struct lin_verdict verdict = {.judgement = LIN_LINEARIZABLE};
    struct division division = {0};

    if (history->ops_count == 0) {
        return verdict;
    }
    divide(&division, history);
    check_parts(
        &division, history, steps_max == 0 ? LIN_SEARCH_STEPS_DEFAULT : steps_max, &verdict);
    mem_free(division.keys);
    mem_free(division.parent);
    mem_free(division.slot);
    mem_free(division.slots_of);
    mem_free(division.step_slots);
    mem_free(division.order);
    mem_free(division.root);
    return verdict;
}

void lin_blame(struct lin_verdict *verdict,
               enum lin_judgement judgement,
               const char *rule,
               const uint32_t *culprits,
               uint32_t count)
{
    if (verdict->judgement == LIN_VIOLATED ||
        (verdict->judgement == LIN_UNDECIDED && judgement == LIN_UNDECIDED)) {
        return;
    }
    verdict->judgement = judgement;
    (void)snprintf(verdict->rule, sizeof(verdict->rule), "%s", rule);
    verdict->culprits_count = 0;
    for (uint32_t i = 0; i < count && i < LIN_CULPRITS_MAX; i++) {
        verdict->culprits[verdict->culprits_count++] = culprits[i];
    }
}

uint64_t lin_complete_of(const struct lin_op *op)
{
    return op->outcome == LIN_OK ? op->complete : LIN_NEVER;
}

char *lin_describe(const struct lin_history *history, uint32_t number, char *text, size_t size)
{
    static const char *const KINDS[] = {"read", "write", "expect"};
    const struct lin_op *op = &history->ops[number];
    int len = snprintf(text, size, "process %" PRIu64 " [%" PRIu64 ", ", op->process, op->invoke);

    CHECK(len > 0);
    size_t at = (size_t)len;
    if (at < size && op->outcome == LIN_OK) {
        at += (size_t)snprintf(text + at, size - at, "%" PRIu64 "]", op->complete);
    } else if (at < size) {
        at += (size_t)snprintf(text + at, size - at, "?]");
    }
    for (uint32_t i = 0; i < op->steps_count && at < size; i++) {
        const struct lin_step *step = &history->steps[op->first_step + i];
        at += (size_t)snprintf(text + at,
                               size - at,
                               " %s %" PRIu64 " = %" PRIu64,
                               KINDS[step->kind],
                               step->key,
                               step->value);
    }
    return text;
}

/* --- division ------------------------------------------------------------------------------- */

static int compare_numbers(const void *a, const void *b)
{
    uint64_t left = *(const uint64_t *)a;
    uint64_t right = *(const uint64_t *)b;

    return left < right ? -1 : left > right;
}

static uint32_t key_number(const struct division *division, uint64_t key)
{
    const uint64_t *found = bsearch(
        &key, division->keys, division->keys_count, sizeof(*division->keys), compare_numbers);

    CHECK(found != NULL);
    return (uint32_t)(found - division->keys);
}

static uint32_t root_of(struct division *division, uint32_t key)
{
    while (division->parent[key] != key) {
        division->parent[key] = division->parent[division->parent[key]];
        key = division->parent[key];
    }
    return key;
}

static void number_keys(struct division *division, const struct lin_history *history)
{
    uint32_t kept = 0;

    division->keys = mem_new_array(history->steps_count, sizeof(*division->keys));
    for (uint32_t i = 0; i < history->steps_count; i++) {
        division->keys[i] = history->steps[i].key;
    }
    qsort(division->keys, history->steps_count, sizeof(*division->keys), compare_numbers);
    for (uint32_t i = 0; i < history->steps_count; i++) {
        if (kept == 0 || division->keys[kept - 1] != division->keys[i]) {
            division->keys[kept++] = division->keys[i];
        }
    }
    division->keys_count = kept;
}

/* An operation that changes nothing and promises nothing says nothing about the order. */
static bool matters(const struct lin_history *history, const struct lin_op *op)
{
    if (op->outcome != LIN_UNKNOWN) {
        return op->outcome == LIN_OK;
    }
    for (uint32_t i = 0; i < op->steps_count; i++) {
        if (history->steps[op->first_step + i].kind == LIN_WRITE) {
            return true;
        }
    }
    return false;
}

static void join_keys(struct division *division, const struct lin_history *history)
{
    for (uint32_t i = 0; i < division->keys_count; i++) {
        division->parent[i] = i;
    }
    for (uint32_t i = 0; i < history->ops_count; i++) {
        const struct lin_op *op = &history->ops[i];
        uint32_t first = key_number(division, history->steps[op->first_step].key);
        for (uint32_t k = 1; matters(history, op) && k < op->steps_count; k++) {
            uint32_t other = key_number(division, history->steps[op->first_step + k].key);
            division->parent[root_of(division, other)] = root_of(division, first);
        }
    }
    for (uint32_t i = 0; i < division->keys_count; i++) {
        division->slot[i] = division->slots_of[root_of(division, i)]++;
    }
}

static void divide(struct division *division, const struct lin_history *history)
{
    number_keys(division, history);
    division->parent = mem_new_array(division->keys_count, sizeof(uint32_t));
    division->slot = mem_new_array(division->keys_count, sizeof(uint32_t));
    division->slots_of = mem_new_array(division->keys_count, sizeof(uint32_t));
    division->step_slots = mem_new_array(history->steps_count, sizeof(uint32_t));
    division->order = mem_new_array(history->ops_count, sizeof(uint32_t));
    division->root = mem_new_array(history->ops_count, sizeof(uint32_t));
    join_keys(division, history);
    uint32_t *counts = mem_new_array((size_t)division->keys_count + 1, sizeof(uint32_t));
    for (uint32_t i = 0; i < history->ops_count; i++) {
        const struct lin_op *op = &history->ops[i];
        division->root[i] = LIN_NONE;
        for (uint32_t k = 0; k < op->steps_count; k++) {
            uint32_t key = key_number(division, history->steps[op->first_step + k].key);
            division->step_slots[op->first_step + k] = division->slot[key];
        }
        if (matters(history, op)) {
            division->root[i] =
                root_of(division, key_number(division, history->steps[op->first_step].key));
            counts[division->root[i] + 1]++;
            division->order_count++;
        }
    }
    for (uint32_t i = 0; i < division->keys_count; i++) {
        counts[i + 1] += counts[i];
    }
    for (uint32_t i = 0; i < history->ops_count; i++) {
        if (division->root[i] != LIN_NONE) {
            division->order[counts[division->root[i]]++] = i;
        }
    }
    mem_free(counts);
}

static void check_parts(const struct division *division,
                        const struct lin_history *history,
                        uint64_t steps_max,
                        struct lin_verdict *verdict)
{
    uint32_t end = 0;

    verdict->ops = division->order_count;
    for (uint32_t first = 0; first < division->order_count; first = end) {
        uint32_t root = division->root[division->order[first]];
        for (end = first;
             end < division->order_count && division->root[division->order[end]] == root;) {
            end++;
        }
        struct lin_part part = {
            .history = history,
            .ops = division->order + first,
            .ops_count = end - first,
            .slots = division->step_slots,
            .slots_count = division->slots_of[root],
            .steps_max = steps_max,
        };
        verdict->parts++;
        if (lin_zone_applies(&part)) {
            lin_zone_check(&part, verdict);
        } else {
            verdict->parts_by_search++;
            lin_search_check(&part, verdict);
        }
    }
}
