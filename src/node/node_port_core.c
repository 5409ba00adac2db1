/* SPDX-License-Identifier: Apache-2.0 */
/* A node behind a port (node_port.h). It belongs to the node, since the core may still hold what
 * the port asked when the port is closed. */
#include "node/node_port.h"

#include "base/mem.h"
#include "node/node_internal.h"

/* One request in the core's hands. */
struct link {
    LIST_ENTRY(link) others;
    struct node_port_end *end;
    struct node_port_ticket ticket;
    node_port_query_fn run;
    void *ctx;
};

struct node_port_end {
    LIST_ENTRY(node_port_end) others;
    struct node *node;
    struct node_port *port; /* NULL once it was closed */
    struct node_observer observer;
    LIST_HEAD(link_list, link) links;
};

static struct link *link_new(void *core, struct node_port_ticket ticket);
static void answer(struct link *link, const struct node_port_answer *answer);
static void propose(void *core, const struct command *command, struct node_port_ticket ticket);
static void on_proposed(enum error error, const struct command_result *result, void *ctx);
static void read_confirmed(void *core, struct node_port_ticket ticket);
static void read_at(void *core, uint64_t index, struct node_port_ticket ticket);
static void on_read(enum error error, uint64_t index, void *ctx);
static uint64_t
query(void *core, node_port_query_fn run, void *ctx, struct node_port_ticket ticket);
static void run_query(const struct tables *tables, void *ctx);
static void on_queried(void *ctx);
static uint64_t now_ms(const void *core);
static struct node_office office(const void *core);
static bool is_space_low(const void *core);
static struct node_port_status status(const void *core);
static enum error
hand_over(void *core, struct member_id target, char why[TEXT_SIZE], struct member_id *target_out);
static void close_end(void *core);
static void on_leader_changed(void *ctx);
static void on_loaded(const struct kv_position *kv, void *ctx);
static void on_batch(const struct applier_batch *batch, void *ctx);

static const struct node_port_core calls = {
    .now_ms = now_ms,
    .propose = propose,
    .read = read_confirmed,
    .read_at = read_at,
    .query = query,
    .office = office,
    .space_is_low = is_space_low,
    .status = status,
    .hand_over = hand_over,
    .close = close_end,
};

struct node_port *node_port_open(struct node *node)
{
    struct node_port_end *end = mem_new(sizeof(*end));
    end->node = node;
    end->port = node_port_new(&calls, end);
    end->observer = (struct node_observer){.on_leader_changed = on_leader_changed,
                                           .on_loaded = on_loaded,
                                           .on_batch = on_batch,
                                           .ctx = end->port};
    LIST_INSERT_HEAD(&node->port_ends, end, others);
    node_observe(node, &end->observer);
    return end->port;
}

bool node_ports_flush(struct node *node)
{
    const struct node_port_end *end = NULL;
    bool any = false;
    LIST_FOREACH(end, &node->port_ends, others)
    {
        any = (end->port != NULL && node_port_flush(end->port)) || any;
    }
    return any;
}

void node_ports_deinit(struct node *node)
{
    struct node_port_end *end = NULL;
    while ((end = LIST_FIRST(&node->port_ends)) != NULL) {
        struct link *link = NULL;
        while ((link = LIST_FIRST(&end->links)) != NULL) {
            LIST_REMOVE(link, others);
            mem_free(link);
        }
        LIST_REMOVE(end, others);
        mem_free(end);
    }
}

static struct link *link_new(void *core, struct node_port_ticket ticket)
{
    struct node_port_end *end = core;
    struct link *link = mem_new(sizeof(*link));
    link->end = end;
    link->ticket = ticket;
    LIST_INSERT_HEAD(&end->links, link, others);
    return link;
}

static void answer(struct link *link, const struct node_port_answer *answer)
{
    struct node_port *port = link->end->port;
    const struct node_port_ticket ticket = link->ticket;
    LIST_REMOVE(link, others);
    mem_free(link);
    if (port != NULL) {
        node_port_answered(port, ticket, answer);
    }
}

static void propose(void *core, const struct command *command, struct node_port_ticket ticket)
{
    const struct node_port_end *end = core;
    node_propose(end->node,
                 command,
                 (struct proposals_waiter){.done = on_proposed, .ctx = link_new(core, ticket)});
}

static void on_proposed(enum error error, const struct command_result *result, void *ctx)
{
    struct link *link = ctx;
    const struct node_port_answer told = {
        .error = error, .result = result, .replies = node_replies(link->end->node)};
    answer(link, &told);
}

static void read_confirmed(void *core, struct node_port_ticket ticket)
{
    const struct node_port_end *end = core;
    node_read(end->node, on_read, link_new(core, ticket));
}

static void read_at(void *core, uint64_t index, struct node_port_ticket ticket)
{
    const struct node_port_end *end = core;
    node_read_at(end->node, index, on_read, link_new(core, ticket));
}

static void on_read(enum error error, uint64_t index, void *ctx)
{
    const struct node_port_answer told = {.error = error, .index = index};
    answer(ctx, &told);
}

static uint64_t query(void *core, node_port_query_fn run, void *ctx, struct node_port_ticket ticket)
{
    const struct node_port_end *end = core;
    struct link *link = link_new(core, ticket);
    link->run = run;
    link->ctx = ctx;
    uint64_t seen = node_submitted(end->node);
    node_query(end->node, run_query, on_queried, link);
    return seen;
}

/* On the apply thread. */
static void run_query(const struct tables *tables, void *ctx)
{
    const struct link *link = ctx;
    link->run(tables, link->ctx);
}

static void on_queried(void *ctx)
{
    const struct node_port_answer told = {.error = ERR_OK};
    answer(ctx, &told);
}

static uint64_t now_ms(const void *core)
{
    const struct node_port_end *end = core;
    return node_now_ms(end->node);
}

static struct node_office office(const void *core)
{
    const struct node_port_end *end = core;
    return node_office(end->node);
}

static bool is_space_low(const void *core)
{
    const struct node_port_end *end = core;
    return node_space_is_low(end->node);
}

static struct node_port_status status(const void *core)
{
    const struct node_port_end *end = core;
    struct node_view view;
    struct raft_status raft;
    node_view(end->node, &view);
    raft_status(node_raft(end->node), &raft);
    struct node_port_status told = {
        .commit = view.commit,
        .applied = view.applied,
        .state_hash = view.state_hash,
        .store_used_bytes = view.store_used_bytes,
        .election_ms = raft.election_ms,
    };
    told.members = node_members(end->node, &told.members_count);
    return told;
}

static enum error
hand_over(void *core, struct member_id target, char why[TEXT_SIZE], struct member_id *target_out)
{
    const struct node_port_end *end = core;
    return node_hand_over(end->node, target, why, target_out);
}

static void close_end(void *core)
{
    struct node_port_end *end = core;
    node_unobserve(end->node, &end->observer);
    end->port = NULL;
}

static void on_leader_changed(void *ctx)
{
    node_port_tell_leader_changed(ctx);
}

static void on_loaded(const struct kv_position *kv, void *ctx)
{
    const struct node_port_applied applied = {.index = node_port_status(ctx).applied,
                                              .revision = kv->revision,
                                              .compacted = kv->compacted};
    node_port_tell_applied(ctx, &applied);
}

static void on_batch(const struct applier_batch *batch, void *ctx)
{
    const struct node_port_applied applied = {
        .index = batch->position.index,
        .revision = batch->kv.revision,
        .compacted = batch->kv.compacted,
        .sweep_pending = batch->kv_sweep_pending,
        .replies = buf_view(&batch->replies),
    };
    node_port_tell_applied(ctx, &applied);
}
