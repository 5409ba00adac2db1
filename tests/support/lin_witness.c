/* SPDX-License-Identifier: Apache-2.0 */
/* The order that the server claims, checked: results by replay, and real time by a sweep. Reads
 * stand after the write of the same index. */
#include "base/check.h"
#include "base/mem.h"
#include "tests/support/lin_internal.h"

#include <stdlib.h>

/* An open-addressed table of keys; LIN_ABSENT where nothing was written. */
struct cell {
    uint64_t key;
    uint64_t value;
    bool used;
};

struct table {
    struct cell *cells;
    uint64_t cap; /* a power of two */
};

struct place {
    const struct lin_history *history;
    uint32_t op;
    bool writes;
};

struct replay {
    const struct lin_history *history;
    struct table table;
    uint32_t *loose; /* operations of unknown place that may have had an effect */
    uint32_t loose_count;
};

static uint32_t gather(const struct lin_history *history, struct place *places, uint64_t *ops);
static int compare_places(const void *a, const void *b);
static void check_results(struct replay *replay,
                          const struct place *places,
                          uint32_t count,
                          struct lin_verdict *verdict);
static void check_time(const struct place *places, uint32_t count, struct lin_verdict *verdict);

struct lin_verdict lin_witness(const struct lin_history *history)
{
    struct lin_verdict verdict = {.judgement = LIN_LINEARIZABLE, .parts = 1};
    struct place *places = mem_new_array(history->ops_count, sizeof(*places));
    uint32_t count = gather(history, places, &verdict.ops);
    struct replay replay = {.history = history};

    replay.loose = mem_new_array(history->ops_count, sizeof(*replay.loose));
    for (uint32_t i = 0; i < history->ops_count; i++) {
        const struct lin_op *op = &history->ops[i];
        if (op->outcome == LIN_UNKNOWN && op->index == 0) {
            replay.loose[replay.loose_count++] = i;
        }
    }
    for (replay.table.cap = 64; replay.table.cap < 2 * (uint64_t)history->steps_count;) {
        replay.table.cap *= 2;
    }
    replay.table.cells = mem_new_array(replay.table.cap, sizeof(*replay.table.cells));
    qsort(places, count, sizeof(*places), compare_places);
    check_time(places, count, &verdict);
    check_results(&replay, places, count, &verdict);
    mem_free(replay.table.cells);
    mem_free(replay.loose);
    mem_free(places);
    return verdict;
}

static bool op_writes(const struct lin_history *history, const struct lin_op *op)
{
    for (uint32_t i = 0; i < op->steps_count; i++) {
        if (history->steps[op->first_step + i].kind == LIN_WRITE) {
            return true;
        }
    }
    return false;
}

/* All whose place is said. */
static uint32_t gather(const struct lin_history *history, struct place *places, uint64_t *ops)
{
    uint32_t count = 0;

    for (uint32_t i = 0; i < history->ops_count; i++) {
        const struct lin_op *op = &history->ops[i];
        if (op->outcome != LIN_FAIL && op->index != 0) {
            places[count++] =
                (struct place){.history = history, .op = i, .writes = op_writes(history, op)};
        }
    }
    *ops = count;
    return count;
}

static int compare_places(const void *a, const void *b)
{
    const struct place *left = a;
    const struct place *right = b;
    uint64_t left_index = left->history->ops[left->op].index;
    uint64_t right_index = right->history->ops[right->op].index;

    if (left_index != right_index) {
        return left_index < right_index ? -1 : 1;
    }
    if (left->writes != right->writes) {
        return left->writes ? -1 : 1;
    }
    return left->op < right->op ? -1 : left->op > right->op;
}

/* True if the two may stand in either order: reads of one state. */
static bool same_state(const struct place *a, const struct place *b)
{
    return !a->writes && !b->writes && a->history->ops[a->op].index == b->history->ops[b->op].index;
}

/* From the highest place down: nobody with a higher place is complete before one is invoked. Reads
 * of one state are first all looked at, then all taken in. */
static void check_time(const struct place *places, uint32_t count, struct lin_verdict *verdict)
{
    uint64_t earliest = LIN_NEVER;
    uint32_t who = LIN_NONE;
    uint32_t first = count;

    for (uint32_t end = count; end > 0; end = first) {
        for (first = end - 1; first > 0 && same_state(&places[first - 1], &places[end - 1]);) {
            first--;
        }
        for (uint32_t i = first; i < end; i++) {
            uint32_t both[] = {places[i].op, who};
            if (places[i].history->ops[places[i].op].invoke > earliest) {
                lin_blame(verdict,
                          LIN_VIOLATED,
                          "an operation has a lower place than one that was complete before",
                          both,
                          2);
                return;
            }
        }
        for (uint32_t i = first; i < end; i++) {
            if (lin_complete_of(&places[i].history->ops[places[i].op]) < earliest) {
                earliest = lin_complete_of(&places[i].history->ops[places[i].op]);
                who = places[i].op;
            }
        }
    }
}

static uint64_t *value_of(struct table *table, uint64_t key)
{
    uint64_t at = (key * UINT64_C(0x9E3779B97F4A7C15)) & (table->cap - 1);

    while (table->cells[at].used && table->cells[at].key != key) {
        at = (at + 1) & (table->cap - 1);
    }
    table->cells[at].used = true;
    table->cells[at].key = key;
    return &table->cells[at].value;
}

/* An operation of unknown place wrote this value, and has not been used yet: it took effect here.
 */
static bool explain(struct replay *replay, uint64_t key, uint64_t value, uint64_t before)
{
    for (uint32_t i = 0; i < replay->loose_count; i++) {
        const struct lin_op *op = &replay->history->ops[replay->loose[i]];
        bool found = false;
        for (uint32_t k = 0; k < op->steps_count; k++) {
            const struct lin_step *step = &replay->history->steps[op->first_step + k];
            found = found || (step->kind == LIN_WRITE && step->key == key && step->value == value);
        }
        if (!found || op->invoke > before) {
            continue;
        }
        for (uint32_t k = 0; k < op->steps_count; k++) {
            const struct lin_step *step = &replay->history->steps[op->first_step + k];
            if (step->kind == LIN_WRITE) {
                *value_of(&replay->table, step->key) = step->value;
            }
        }
        replay->loose[i] = replay->loose[--replay->loose_count];
        return true;
    }
    return false;
}

static bool right(struct replay *replay, const struct lin_op *op)
{
    bool holds = true;
    bool guarded = false;

    for (uint32_t i = op->first_step; i < op->first_step + op->steps_count; i++) {
        const struct lin_step *step = &replay->history->steps[i];
        if (step->kind == LIN_EXPECT) {
            guarded = true;
            bool equal = *value_of(&replay->table, step->key) == step->value;
            if (!equal && op->outcome == LIN_OK && op->succeeded) {
                equal = explain(replay, step->key, step->value, op->complete);
            }
            holds = holds && equal;
        }
    }
    if (guarded && op->outcome == LIN_OK && holds != op->succeeded) {
        return false;
    }
    for (uint32_t i = op->first_step; i < op->first_step + op->steps_count; i++) {
        const struct lin_step *step = &replay->history->steps[i];
        if (step->kind == LIN_EXPECT || (step->branch == LIN_THEN && !holds) ||
            (step->branch == LIN_ELSE && holds)) {
            continue;
        }
        if (step->kind == LIN_WRITE) {
            *value_of(&replay->table, step->key) = step->value;
        } else if (op->outcome == LIN_OK && *value_of(&replay->table, step->key) != step->value &&
                   !explain(replay, step->key, step->value, op->complete)) {
            return false;
        }
    }
    return true;
}

static void check_results(struct replay *replay,
                          const struct place *places,
                          uint32_t count,
                          struct lin_verdict *verdict)
{
    for (uint32_t i = 0; i < count; i++) {
        if (!right(replay, &replay->history->ops[places[i].op])) {
            lin_blame(verdict,
                      LIN_VIOLATED,
                      "the result is not that of the place it claims",
                      &places[i].op,
                      1);
            return;
        }
    }
}
