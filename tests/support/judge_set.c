/* SPDX-License-Identifier: Apache-2.0 */
/* Sets of unique numbers: what is lost, what nobody added, what is there twice (judge.h). */
#include "base/mem.h"
#include "tests/support/judge.h"
#include "tests/support/judge_internal.h"

#include <inttypes.h>
#include <stdlib.h>

struct element {
    int64_t number;
    const struct history_op *add;
    bool counted; /* among those without an answer, whatever number of reads has it */
};

struct tally {
    struct element *elements; /* by number */
    size_t count;
    bool could_lose;
    FILE *out;
    uint32_t violations;
    uint32_t explained;
    uint32_t unconfirmed;
};

static int compare_elements(const void *a, const void *b)
{
    const struct element *left = a;
    const struct element *right = b;

    return left->number < right->number ? -1 : left->number > right->number;
}

static int compare_items(const void *a, const void *b)
{
    const struct edn *left = *(const struct edn *const *)a;
    const struct edn *right = *(const struct edn *const *)b;

    return left->number < right->number ? -1 : left->number > right->number;
}

static void collect(struct tally *tally, const struct history *history)
{
    tally->elements = mem_new_array(history->ops_count + 1, sizeof(*tally->elements));
    for (size_t i = 0; i < history->ops_count; i++) {
        const struct history_op *op = &history->ops[i];
        int64_t number = 0;
        if (history_is(op, "add") && edn_int(op->asked, &number)) {
            tally->elements[tally->count++] = (struct element){.number = number, .add = op};
        }
        if (history_is(op, "failover") && op->value != NULL) {
            const struct edn *could = edn_get(op->value, "could-lose");
            tally->could_lose = tally->could_lose || (could != NULL && could->number != 0);
        }
    }
    qsort(tally->elements, tally->count, sizeof(*tally->elements), compare_elements);
}

static void blame(struct tally *tally, const char *what, const struct history_op *op)
{
    if (tally->violations++ < JUDGE_SHOWN_MAX) {
        (void)fprintf(tally->out, "violation: %s: ", what);
        judge_tell(tally->out, op);
        (void)fprintf(tally->out, "\n");
    }
}

/* An acknowledged element that this read, which began after it was, does not have. */
static void judge_missing(struct tally *tally, const struct element *element)
{
    if (element->add->type != HISTORY_OK) {
        return;
    }
    if (tally->could_lose) {
        tally->explained++;
    } else {
        blame(tally, "lost", element->add);
    }
}

static void judge_read(struct tally *tally, const struct history_op *read)
{
    size_t count = read->value->items_count;
    const struct edn **items = mem_new_array(count + 1, sizeof(const struct edn *));
    size_t at = 0;

    for (size_t i = 0; i < count; i++) {
        items[i] = &read->value->items[i];
    }
    qsort(items, count, sizeof(const struct edn *), compare_items);
    for (size_t i = 0; i < count; i++) {
        if (i > 0 && items[i]->number == items[i - 1]->number) {
            blame(tally, "duplicated", read);
            continue;
        }
        for (; at < tally->count && tally->elements[at].number < items[i]->number; at++) {
            judge_missing(tally, &tally->elements[at]);
        }
        if (at == tally->count || tally->elements[at].number != items[i]->number) {
            blame(tally, "phantom: nobody added one of", read);
            continue;
        }
        if (tally->elements[at].add->type == HISTORY_FAIL) {
            blame(tally, "refused, and there", tally->elements[at].add);
        }
        tally->unconfirmed +=
            tally->elements[at].add->type == HISTORY_INFO && !tally->elements[at].counted;
        tally->elements[at].counted = true;
        at++;
    }
    for (; at < tally->count; at++) {
        judge_missing(tally, &tally->elements[at]);
    }
    mem_free(items);
}

uint32_t judge_set(const struct history *history, FILE *out)
{
    struct tally tally = {.out = out};
    uint64_t last_add = 0;
    uint32_t reads = 0;
    uint32_t acknowledged = 0;

    collect(&tally, history);
    for (size_t i = 0; i < tally.count; i++) {
        const struct history_op *add = tally.elements[i].add;
        acknowledged += add->type == HISTORY_OK;
        if (add->type == HISTORY_OK && add->complete_ns > last_add) {
            last_add = add->complete_ns;
        }
    }
    for (size_t i = 0; i < history->ops_count; i++) {
        const struct history_op *op = &history->ops[i];
        if (history_is(op, "read") && op->type == HISTORY_OK && op->invoke_ns >= last_add &&
            op->value != NULL && op->value->kind != EDN_MAP && op->value->kind != EDN_INT) {
            judge_read(&tally, op);
            reads++;
        }
    }
    if (reads == 0 || acknowledged == 0) {
        (void)fprintf(out, "violation: nothing was added, or nobody read the set at the end\n");
        tally.violations++;
    }
    (void)fprintf(out,
                  "set: %zu added, %" PRIu32 " acknowledged, %" PRIu32
                  " there without an answer, %" PRIu32 " lost as a failover says, %" PRIu32
                  " reads\n",
                  tally.count,
                  acknowledged,
                  tally.unconfirmed,
                  tally.explained,
                  reads);
    mem_free(tally.elements);
    return tally.violations;
}
