/* SPDX-License-Identifier: Apache-2.0 */
/* Transactions that append to lists and read them (judge.h). A list read whole is the order of its
 * key's versions; from these orders follows what each transaction came after. */
#include "tests/support/judge.h"

#include "base/check.h"
#include "base/mem.h"
#include "tests/support/judge_append.h"
#include "tests/support/judge_internal.h"

#include <inttypes.h>
#include <stdlib.h>
#include <string.h>

static int compare_appends(const void *a, const void *b)
{
    const struct append *left = a;
    const struct append *right = b;

    if (left->key != right->key) {
        return left->key < right->key ? -1 : 1;
    }
    return left->value < right->value ? -1 : left->value > right->value;
}

static int compare_reads(const void *a, const void *b)
{
    const struct list_read *left = a;
    const struct list_read *right = b;

    if (left->key != right->key) {
        return left->key < right->key ? -1 : 1;
    }
    return left->list->items_count < right->list->items_count   ? -1
           : left->list->items_count > right->list->items_count ? 1
           : left->txn < right->txn                             ? -1
                                                                : left->txn > right->txn;
}

uint32_t append_blame(struct appends *all, const char *what, const struct history_op *op)
{
    if (all->violations++ < JUDGE_SHOWN_MAX) {
        (void)fprintf(all->out, "violation: %s: ", what);
        judge_tell(all->out, op);
        (void)fprintf(all->out, "\n");
    }
    return all->violations;
}

const struct append *append_find(const struct appends *all, int64_t key, int64_t value)
{
    struct append wanted = {.key = key, .value = value};

    return bsearch(&wanted, all->appends, all->appends_count, sizeof(wanted), compare_appends);
}

/* [:append k v] or [:r k list] */
static bool
read_step(const struct edn *step, bool *append_out, int64_t *key_out, const struct edn **what_out)
{
    if (step->kind != EDN_VECTOR || step->items_count != 3 || !edn_int(&step->items[1], key_out)) {
        return false;
    }
    *append_out = edn_is_keyword(&step->items[0], "append");
    *what_out = &step->items[2];
    return *append_out || edn_is_keyword(&step->items[0], "r");
}

static void take_txn(struct appends *all, uint32_t txn)
{
    const struct history_op *op = all->txns[txn];
    const struct edn *steps = op->type == HISTORY_OK ? op->value : op->asked;
    size_t own = all->appends_count;

    for (size_t i = 0; steps != NULL && i < steps->items_count; i++) {
        bool append = false;
        int64_t key = 0;
        const struct edn *what = NULL;
        if (!read_step(&steps->items[i], &append, &key, &what)) {
            (void)append_blame(all, "not of the form [:append k v] or [:r k list]", op);
            return;
        }
        if (append) {
            struct append made = {.key = key, .value = what->number, .txn = txn, .last = true};
            for (size_t k = own; k < all->appends_count; k++) {
                all->appends[k].last = all->appends[k].last && all->appends[k].key != key;
                made.part += all->appends[k].key == key;
            }
            all->appends[all->appends_count++] = made;
        } else if (op->type == HISTORY_OK && what->kind == EDN_VECTOR) {
            size_t before = 0;
            for (size_t k = own; k < all->appends_count; k++) {
                before += all->appends[k].key == key;
            }
            all->reads[all->reads_count++] =
                (struct list_read){.key = key, .list = what, .txn = txn, .own = before};
        }
    }
}

static void collect(struct appends *all, const struct history *history)
{
    size_t steps = 0;

    all->txns = mem_new_array(history->ops_count + 1, sizeof(const struct history_op *));
    for (size_t i = 0; i < history->ops_count; i++) {
        const struct history_op *op = &history->ops[i];
        if (history_is(op, "txn")) {
            all->txns[all->txns_count++] = op;
            steps += op->asked != NULL ? op->asked->items_count : 0;
            steps += op->value != NULL ? op->value->items_count : 0;
        }
    }
    all->appends = mem_new_array(steps + 1, sizeof(*all->appends));
    all->reads = mem_new_array(steps + 1, sizeof(*all->reads));
    for (uint32_t txn = 0; txn < all->txns_count; txn++) {
        take_txn(all, txn);
    }
    qsort(all->appends, all->appends_count, sizeof(*all->appends), compare_appends);
    qsort(all->reads, all->reads_count, sizeof(*all->reads), compare_reads);
    for (size_t i = 1; i < all->appends_count; i++) {
        if (compare_appends(&all->appends[i - 1], &all->appends[i]) == 0) {
            (void)append_blame(all, "appended twice by its client", all->txns[all->appends[i].txn]);
        }
    }
}

/* What a transaction appended stands together, from its first to its last. */
static bool is_torn(const struct appends *all,
                    const struct list_read *read,
                    size_t at,
                    const struct append *own)
{
    const struct edn *items = read->list->items;
    const struct append *before = at > 0 ? append_find(all, read->key, items[at - 1].number) : NULL;
    const struct append *after =
        at + 1 < read->list->items_count ? append_find(all, read->key, items[at + 1].number) : NULL;

    if (own->part > 0 &&
        (before == NULL || before->txn != own->txn || before->part + 1 != own->part)) {
        return true;
    }
    return !own->last && after != NULL && after->txn != own->txn;
}

/* What one list says by itself. */
static void judge_list(struct appends *all, const struct list_read *read)
{
    const struct history_op *op = all->txns[read->txn];
    size_t count = read->list->items_count;

    for (size_t i = 0; i < count; i++) {
        int64_t value = read->list->items[i].number;
        const struct append *append = append_find(all, read->key, value);
        for (size_t k = 0; k < i; k++) {
            if (read->list->items[k].number == value) {
                (void)append_blame(all, "duplicated in a list", op);
            }
        }
        if (append == NULL) {
            (void)append_blame(all, "phantom: nobody appended what was read", op);
        } else if (all->txns[append->txn]->type == HISTORY_FAIL) {
            (void)append_blame(all, "G1a: read of what was refused", op);
        } else if (i + 1 == count && !append->last && append->txn != read->txn) {
            (void)append_blame(all, "G1b: read of an intermediate version", op);
        } else if (is_torn(all, read, i, append)) {
            (void)append_blame(all, "torn: a part of what one transaction appended", op);
        }
    }
    for (size_t i = 0; i < read->own; i++) {
        const struct append *own =
            i < count ? append_find(all, read->key, read->list->items[count - 1 - i].number) : NULL;
        if (own == NULL || own->txn != read->txn) {
            (void)append_blame(all, "internal: a transaction does not see its own append", op);
            break;
        }
    }
}

/* Reads of a key are sorted by length: each must begin the longest. */
static void
judge_prefix(struct appends *all, const struct list_read *read, const struct list_read *longest)
{
    for (size_t i = 0; i < read->list->items_count; i++) {
        if (read->list->items[i].number != longest->list->items[i].number) {
            (void)append_blame(all, "incompatible orders of one list", all->txns[read->txn]);
            return;
        }
    }
}

/* Acknowledged, and missing in a list that somebody read later. */
static void judge_lost(struct appends *all, const struct append *append)
{
    const struct history_op *writer = all->txns[append->txn];

    if (writer->type != HISTORY_OK) {
        return;
    }
    for (size_t i = 0; i < all->reads_count; i++) {
        const struct list_read *read = &all->reads[i];
        bool there =
            read->key != append->key || all->txns[read->txn]->invoke_ns <= writer->complete_ns;
        for (size_t k = read->list->items_count; !there && k-- > 0;) {
            there = read->list->items[k].number == append->value;
        }
        if (!there) {
            (void)append_blame(all, "lost: acknowledged, and not in a later read", writer);
            return;
        }
    }
}

static void judge_lists(struct appends *all)
{
    size_t end = 0;

    for (size_t first = 0; first < all->reads_count; first = end) {
        for (end = first; end < all->reads_count && all->reads[end].key == all->reads[first].key;) {
            end++;
        }
        for (size_t i = first; i < end; i++) {
            judge_list(all, &all->reads[i]);
            judge_prefix(all, &all->reads[i], &all->reads[end - 1]);
        }
    }
    for (size_t i = 0; i < all->appends_count; i++) {
        judge_lost(all, &all->appends[i]);
    }
}

uint32_t judge_append(const struct history *history, FILE *out)
{
    struct appends all = {.out = out};

    collect(&all, history);
    judge_lists(&all);
    if (all.violations == 0) {
        append_judge_cycles(&all);
    }
    if (all.reads_count == 0 || all.appends_count == 0) {
        (void)append_blame(&all,
                           "nothing was appended, or nothing read",
                           &(struct history_op){.source = "history", .f = "txn"});
    }
    (void)fprintf(out,
                  "append: %" PRIu32 " transactions, %zu appends, %zu reads\n",
                  all.txns_count,
                  all.appends_count,
                  all.reads_count);
    mem_free(all.txns);
    mem_free(all.appends);
    mem_free(all.reads);
    return all.violations;
}
