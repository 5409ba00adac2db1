/* SPDX-License-Identifier: Apache-2.0 */
/* Cycles of transactions: txn_graph.h. */
#include "tests/support/txn_graph.h"

#include "base/check.h"
#include "base/mem.h"

#include <stdlib.h>
#include <string.h>

#define NOWHERE UINT32_MAX

/* The walk of Tarjan (1972), without recursion. */
struct walk {
    uint32_t *order; /* 0: not seen */
    uint32_t *low;
    uint32_t *next; /* by node: the edge to look at */
    uint32_t *stack;
    uint32_t *path;
    bool *on_stack;
    uint32_t stack_len;
    uint32_t path_len;
    uint32_t seen;
    uint32_t components;
};

void txn_graph_add(struct txn_graph *graph, uint32_t from, uint32_t to, enum txn_edge_kind kind)
{
    CHECK(from < graph->nodes_count && to < graph->nodes_count);
    if (from == to) {
        return;
    }
    if (graph->edges_count == graph->edges_cap) {
        graph->edges_cap = graph->edges_cap == 0 ? 1024 : graph->edges_cap * 2;
        graph->edges = mem_resize(graph->edges, graph->edges_cap * sizeof(*graph->edges));
    }
    graph->edges[graph->edges_count++] = (struct txn_edge){from, to, kind};
}

void txn_graph_deinit(struct txn_graph *graph)
{
    mem_free(graph->edges);
    mem_free(graph->first);
    mem_free(graph->component);
    mem_free(graph->size);
    *graph = (struct txn_graph){0};
}

static int compare_edges(const void *a, const void *b)
{
    const struct txn_edge *left = a;
    const struct txn_edge *right = b;

    if (left->from != right->from) {
        return left->from < right->from ? -1 : 1;
    }
    return left->to < right->to ? -1 : left->to > right->to;
}

static void sort(struct txn_graph *graph)
{
    qsort(graph->edges, graph->edges_count, sizeof(*graph->edges), compare_edges);
    mem_free(graph->first);
    graph->first = mem_new_array((size_t)graph->nodes_count + 1, sizeof(uint32_t));
    size_t edge = 0;
    for (uint32_t node = 0; node <= graph->nodes_count; node++) {
        while (edge < graph->edges_count && graph->edges[edge].from < node) {
            edge++;
        }
        graph->first[node] = (uint32_t)edge;
    }
}

static void enter(struct walk *walk, const struct txn_graph *graph, uint32_t node)
{
    walk->order[node] = walk->low[node] = ++walk->seen;
    walk->next[node] = graph->first[node];
    walk->stack[walk->stack_len++] = node;
    walk->on_stack[node] = true;
    walk->path[walk->path_len++] = node;
}

static void leave(struct walk *walk, struct txn_graph *graph, uint32_t node)
{
    walk->path_len--;
    if (walk->path_len > 0) {
        uint32_t parent = walk->path[walk->path_len - 1];
        walk->low[parent] =
            walk->low[node] < walk->low[parent] ? walk->low[node] : walk->low[parent];
    }
    if (walk->low[node] != walk->order[node]) {
        return;
    }
    uint32_t member = NOWHERE;
    do {
        member = walk->stack[--walk->stack_len];
        walk->on_stack[member] = false;
        graph->component[member] = walk->components;
        graph->size[walk->components]++;
    } while (member != node);
    walk->components++;
}

static void walk_from(struct walk *walk, struct txn_graph *graph, uint32_t start)
{
    enter(walk, graph, start);
    while (walk->path_len > 0) {
        uint32_t node = walk->path[walk->path_len - 1];
        if (walk->next[node] == graph->first[node + 1]) {
            leave(walk, graph, node);
            continue;
        }
        uint32_t to = graph->edges[walk->next[node]++].to;
        if (walk->order[to] == 0) {
            enter(walk, graph, to);
        } else if (walk->on_stack[to] && walk->order[to] < walk->low[node]) {
            walk->low[node] = walk->order[to];
        }
    }
}

static void find_components(struct txn_graph *graph)
{
    size_t count = (size_t)graph->nodes_count + 1;
    struct walk walk = {
        .order = mem_new_array(count, sizeof(uint32_t)),
        .low = mem_new_array(count, sizeof(uint32_t)),
        .next = mem_new_array(count, sizeof(uint32_t)),
        .stack = mem_new_array(count, sizeof(uint32_t)),
        .path = mem_new_array(count, sizeof(uint32_t)),
        .on_stack = mem_new_array(count, sizeof(bool)),
    };

    mem_free(graph->component);
    mem_free(graph->size);
    graph->component = mem_new_array(count, sizeof(uint32_t));
    graph->size = mem_new_array(count, sizeof(uint32_t));
    for (uint32_t node = 0; node < graph->nodes_count; node++) {
        if (walk.order[node] == 0) {
            walk_from(&walk, graph, node);
        }
    }
    mem_free(walk.order);
    mem_free(walk.low);
    mem_free(walk.next);
    mem_free(walk.stack);
    mem_free(walk.path);
    mem_free(walk.on_stack);
}

/* --- cycles ----------------------------------------------------------------------------------- */

/* It was gathered backwards. */
static void turn_round(struct txn_cycle *cycle)
{
    uint32_t count = cycle->len < TXN_CYCLE_MAX ? cycle->len : TXN_CYCLE_MAX;

    for (uint32_t i = 0; i < count / 2; i++) {
        uint32_t node = cycle->nodes[i];
        enum txn_edge_kind kind = cycle->kinds[i];
        cycle->nodes[i] = cycle->nodes[count - 1 - i];
        cycle->kinds[i] = cycle->kinds[count - 1 - i];
        cycle->nodes[count - 1 - i] = node;
        cycle->kinds[count - 1 - i] = kind;
    }
}

/* A shortest way from `edge->to` back to `edge->from` by edges of these kinds, within one
 * component; with the edge it is a cycle. */
static bool way_back(const struct txn_graph *graph,
                     const struct txn_edge *edge,
                     uint32_t kinds,
                     struct txn_cycle *cycle_out)
{
    uint32_t *via = mem_new_array(graph->nodes_count, sizeof(uint32_t)); /* an edge, + 1 */
    uint32_t *queue = mem_new_array(graph->nodes_count, sizeof(uint32_t));
    uint32_t head = 0;
    uint32_t tail = 0;
    bool found = false;

    queue[tail++] = edge->to;
    while (head < tail && !found) {
        uint32_t node = queue[head++];
        for (uint32_t i = graph->first[node]; i < graph->first[node + 1] && !found; i++) {
            const struct txn_edge *step = &graph->edges[i];
            if ((step->kind & kinds) == 0 || via[step->to] != 0 || step->to == edge->to ||
                graph->component[step->to] != graph->component[edge->to]) {
                continue;
            }
            via[step->to] = i + 1;
            queue[tail++] = step->to;
            found = step->to == edge->from;
        }
    }
    cycle_out->len = 0;
    for (uint32_t node = edge->from; found && node != edge->to;) {
        const struct txn_edge *step = &graph->edges[via[node] - 1];
        if (cycle_out->len < TXN_CYCLE_MAX) {
            cycle_out->nodes[cycle_out->len] = step->from;
            cycle_out->kinds[cycle_out->len] = step->kind;
        }
        cycle_out->len++;
        node = step->from;
    }
    if (found && cycle_out->len < TXN_CYCLE_MAX) {
        cycle_out->nodes[cycle_out->len] = edge->from;
        cycle_out->kinds[cycle_out->len] = edge->kind;
    }
    cycle_out->len += found;
    turn_round(cycle_out);
    mem_free(via);
    mem_free(queue);
    return found;
}

static bool find_with(const struct txn_graph *graph,
                      uint32_t through,
                      uint32_t back,
                      struct txn_cycle *cycle_out)
{
    for (size_t i = 0; i < graph->edges_count; i++) {
        const struct txn_edge *edge = &graph->edges[i];
        if ((edge->kind & through) != 0 &&
            graph->component[edge->from] == graph->component[edge->to] &&
            way_back(graph, edge, back, cycle_out)) {
            return true;
        }
    }
    return false;
}

bool txn_graph_find(struct txn_graph *graph, struct txn_cycle *cycle_out)
{
    static const struct {
        const char *name;
        uint32_t through;
        uint32_t back;
    } KINDS[] = {
        {"G0", TXN_WW, TXN_WW},
        {"G1c", TXN_WR, TXN_WW | TXN_WR},
        {"G-single", TXN_RW, TXN_WW | TXN_WR},
        {"G2", TXN_RW, TXN_WW | TXN_WR | TXN_RW},
        {"G0-realtime", TXN_WW, TXN_WW | TXN_RT},
        {"G1c-realtime", TXN_WR, TXN_WW | TXN_WR | TXN_RT},
        {"G-single-realtime", TXN_RW, TXN_WW | TXN_WR | TXN_RT},
    };

    sort(graph);
    find_components(graph);
    for (size_t i = 0; i < ARRAY_LEN(KINDS); i++) {
        if (find_with(graph, KINDS[i].through, KINDS[i].back, cycle_out)) {
            cycle_out->name = KINDS[i].name;
            return true;
        }
    }
    return false;
}
