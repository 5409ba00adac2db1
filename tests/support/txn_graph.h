/* SPDX-License-Identifier: Apache-2.0 */
/* What must have come before what among transactions, and the cycles in it: Adya's phenomena (Adya,
 * Liskov and O'Neil 2000). Pure. */
#ifndef INDABA_TESTS_SUPPORT_TXN_GRAPH_H
#define INDABA_TESTS_SUPPORT_TXN_GRAPH_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

enum txn_edge_kind {
    TXN_WW = 1, /* wrote the version after the one that the other wrote */
    TXN_WR = 2, /* read what the other wrote */
    TXN_RW = 4, /* read what the other overwrote */
    TXN_RT = 8, /* was over before the other began */
};

struct txn_edge {
    uint32_t from;
    uint32_t to;
    enum txn_edge_kind kind;
};

/* Zeroed is empty, of `nodes_count` nodes. */
struct txn_graph {
    uint32_t nodes_count;
    struct txn_edge *edges;
    size_t edges_count;
    size_t edges_cap;
    uint32_t *first;     /* by node: its first edge, once sorted */
    uint32_t *component; /* by node: strongly connected ones share a number */
    uint32_t *size;      /* by component */
};

enum {
    TXN_CYCLE_MAX = 16, /* nodes of a cycle that are told */
};

struct txn_cycle {
    const char *name; /* "G0", … */
    uint32_t nodes[TXN_CYCLE_MAX];
    enum txn_edge_kind kinds[TXN_CYCLE_MAX]; /* from this node to the next, the last to the first */
    uint32_t len;                            /* may be more than TXN_CYCLE_MAX */
};

void txn_graph_add(struct txn_graph *graph, uint32_t from, uint32_t to, enum txn_edge_kind kind);
void txn_graph_deinit(struct txn_graph *graph);

/* The gravest cycle: G0 (ww), G1c (ww, wr), G-single (one rw), G2 (several); with -realtime behind
 * the name if it needs the order of real time, which is not asked of G2. False: there is none. */
bool txn_graph_find(struct txn_graph *graph, struct txn_cycle *cycle_out);

#endif
