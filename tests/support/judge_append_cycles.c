/* SPDX-License-Identifier: Apache-2.0 */
/* From lists to the graph of transactions, and its gravest cycle told (judge_append.h). */
#include "base/check.h"
#include "base/mem.h"
#include "tests/support/judge.h"
#include "tests/support/judge_append.h"
#include "tests/support/judge_internal.h"
#include "tests/support/txn_graph.h"

#include <inttypes.h>
#include <stdlib.h>

struct instant {
    uint64_t time_ns;
    uint32_t txn;
    bool is_end;
};

/* The writer of the version at this place of the key's order. */
static uint32_t writer_at(const struct appends *all, const struct list_read *order, size_t place)
{
    const struct append *append = append_find(all, order->key, order->list->items[place].number);

    CHECK(append != NULL);
    return append->txn;
}

static void add_reads(struct txn_graph *graph,
                      const struct appends *all,
                      const struct list_read *read,
                      const struct list_read *order)
{
    size_t seen = read->list->items_count;
    size_t others = seen - (read->own < seen ? read->own : seen);

    if (others > 0) {
        txn_graph_add(graph, writer_at(all, order, others - 1), read->txn, TXN_WR);
    }
    if (seen < order->list->items_count) {
        txn_graph_add(graph, read->txn, writer_at(all, order, seen), TXN_RW);
    }
}

/* What was acknowledged and is in no list came after all that is in the longest, else it would be
 * in there: `reads` are those of the key, the last one the longest. */
static void add_unread(struct txn_graph *graph,
                       const struct appends *all,
                       const struct list_read *reads,
                       size_t count)
{
    const struct list_read *order = &reads[count - 1];
    size_t len = order->list->items_count;

    for (size_t i = 0; i < all->appends_count; i++) {
        const struct append *append = &all->appends[i];
        bool there = append->key != order->key || all->txns[append->txn]->type != HISTORY_OK;
        for (size_t k = 0; !there && k < len; k++) {
            there = order->list->items[k].number == append->value;
        }
        if (there) {
            continue;
        }
        if (len > 0) {
            txn_graph_add(graph, writer_at(all, order, len - 1), append->txn, TXN_WW);
        }
        for (size_t k = count; k-- > 0 && reads[k].list->items_count == len;) {
            txn_graph_add(graph, reads[k].txn, append->txn, TXN_RW);
        }
    }
}

static void add_versions(struct txn_graph *graph, const struct appends *all)
{
    size_t end = 0;

    for (size_t first = 0; first < all->reads_count; first = end) {
        for (end = first; end < all->reads_count && all->reads[end].key == all->reads[first].key;) {
            end++;
        }
        const struct list_read *order = &all->reads[end - 1];
        for (size_t i = 1; i < order->list->items_count; i++) {
            txn_graph_add(graph, writer_at(all, order, i - 1), writer_at(all, order, i), TXN_WW);
        }
        for (size_t i = first; i < end; i++) {
            add_reads(graph, all, &all->reads[i], order);
        }
        add_unread(graph, all, &all->reads[first], end - first);
    }
}

/* At one instant ends come last: equal times are concurrent. */
static int compare_instants(const void *a, const void *b)
{
    const struct instant *left = a;
    const struct instant *right = b;

    if (left->time_ns != right->time_ns) {
        return left->time_ns < right->time_ns ? -1 : 1;
    }
    return (int)left->is_end - (int)right->is_end;
}

/* One node an end, each before the next: whoever ended leads to its node, and the newest node leads
 * to whoever begins. So there are three edges an operation, not one a pair. */
static void add_real_time(struct txn_graph *graph, const struct appends *all)
{
    struct instant *instants = mem_new_array((size_t)all->txns_count * 2 + 1, sizeof(*instants));
    size_t count = 0;
    uint32_t node = all->txns_count;

    for (uint32_t txn = 0; txn < all->txns_count; txn++) {
        const struct history_op *op = all->txns[txn];
        if (op->type == HISTORY_FAIL) {
            continue;
        }
        instants[count++] = (struct instant){.time_ns = op->invoke_ns, .txn = txn};
        if (op->type == HISTORY_OK) {
            instants[count++] =
                (struct instant){.time_ns = op->complete_ns, .txn = txn, .is_end = true};
        }
    }
    qsort(instants, count, sizeof(*instants), compare_instants);
    for (size_t i = 0; i < count; i++) {
        if (!instants[i].is_end) {
            if (node > all->txns_count) {
                txn_graph_add(graph, node - 1, instants[i].txn, TXN_RT);
            }
            continue;
        }
        txn_graph_add(graph, instants[i].txn, node, TXN_RT);
        if (node > all->txns_count) {
            txn_graph_add(graph, node - 1, node, TXN_RT);
        }
        node++;
    }
    mem_free(instants);
}

static const char *name_of(enum txn_edge_kind kind)
{
    switch (kind) {
    case TXN_WW:
        return "was overwritten by";
    case TXN_WR:
        return "was read by";
    case TXN_RW:
        return "did not see";
    case TXN_RT:
        return "was over before";
    }
    return "?";
}

void append_judge_cycles(struct appends *all)
{
    struct txn_graph graph = {.nodes_count = all->txns_count * 2 + 1};
    struct txn_cycle cycle;

    add_versions(&graph, all);
    add_real_time(&graph, all);
    if (txn_graph_find(&graph, &cycle)) {
        all->violations++;
        (void)fprintf(all->out, "violation: %s, a cycle of %" PRIu32 ":\n", cycle.name, cycle.len);
        uint32_t shown = cycle.len < TXN_CYCLE_MAX ? cycle.len : TXN_CYCLE_MAX;
        for (uint32_t i = 0; i < shown; i++) {
            if (cycle.nodes[i] < all->txns_count) {
                (void)fprintf(all->out, "    ");
                judge_tell(all->out, all->txns[cycle.nodes[i]]);
                (void)fprintf(all->out, " %s\n", name_of(cycle.kinds[i]));
            }
        }
    }
    txn_graph_deinit(&graph);
}
