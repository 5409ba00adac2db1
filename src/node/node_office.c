/* SPDX-License-Identifier: Apache-2.0 */
/* The node's side of the controller: the stored state goes in at start, every applied batch after
 * it, elections and their ends; its outputs are done here. The leader of an empty state proposes
 * cluster.init from its configuration. */
#include "node/node_internal.h"

#include "base/check.h"
#include "base/failpoint.h"
#include "base/log.h"
#include "base/mem.h"

#include <inttypes.h>
#include <stdio.h>
#include <string.h>

/* The stored state, copied out on the apply thread. */
struct load {
    struct node *node;
    struct applier_topology topology;
    struct shard_view *views;
    uint32_t views_count;
    struct kv_position kv;
};

/* A command of the controller, on its way. */
struct node_ticket {
    LIST_ENTRY(node_ticket) others;
    struct node *node;
    uint64_t ticket;
};

static void load_run(const struct tables *tables, void *ctx);
static void load_done(void *ctx);
static void take_topology(struct node *node, const struct applier_topology *topology);
static void tell_core(struct node *node);
static void enter_office_if_ready(struct node *node, uint64_t now_ms);
static void propose_init_if_needed(struct node *node);
static void on_init_done(enum error error, const struct command_result *result, void *ctx);
static void do_output(struct node *node, const struct controller_output *output);
static void propose_for_controller(struct node *node, const struct controller_output *output);
static void on_ticket_done(enum error error, const struct command_result *result, void *ctx);
static void read_for_controller(struct node *node, uint64_t read_id);

void node_office_deinit(struct node *node)
{
    while (!LIST_EMPTY(&node->tickets)) {
        struct node_ticket *ticket = LIST_FIRST(&node->tickets);
        LIST_REMOVE(ticket, others);
        mem_free(ticket);
    }
}

struct node_office node_office(const struct node *node)
{
    return (struct node_office){
        .role = node->role,
        .term = node->term,
        .leader = member_id_is_none(node->leader) ? NULL : node_member(node, node->leader),
        .leads = node->role == RAFT_LEADER,
        .in_office = node->in_office,
    };
}

void node_office_load(struct node *node)
{
    struct load *load = mem_new(sizeof(*load));
    load->node = node;
    node->io->query(node->ctx, load_run, load_done, load);
}

void node_office_changed(struct node *node, const struct raft_update *update)
{
    bool led = node->role == RAFT_LEADER;
    bool leads = update->role == RAFT_LEADER;
    bool same_office = led && leads && node->term == update->term;
    if (update->role != node->role || update->term != node->term ||
        !member_id_equal(update->leader, node->leader)) {
        const struct member *leader = node_member(node, update->leader);
        log_event(LOG_INFO,
                  "raft.role",
                  "role=%s term=%" PRIu64 " leader=%s",
                  node_role_name(update->role),
                  update->term,
                  leader == NULL ? "-" : leader->name);
    }
    bool same_leader = member_id_equal(node->leader, update->leader);
    node->role = update->role;
    node->term = update->term;
    node->leader = update->leader;
    if (!same_leader) {
        node_tell_leader_changed(node);
    }
    if (led && !same_office) {
        controller_stepped_down(node->controller);
        if (node->sessions.on_stepped_down != NULL) {
            node->sessions.on_stepped_down(node->sessions.ctx);
        }
        proposals_lost(node->proposals);
    }
    if (!same_office) {
        node->in_office = false;
        node->init_proposed = false;
        node_members_office_ended(node);
    }
}

void node_applied(struct node *node, const struct applier_batch *batch)
{
    if (node->closing) {
        return;
    }
    CHECK(node->loaded);
    CHECK(batch->position.index >= node->applied);
    uint64_t now_ms = node_now_ms(node);
    node->applied = batch->position.index;
    node->applied_term = batch->position.term;
    node->state_hash = batch->position.state_hash;
    node->store_used_bytes = batch->store_used_bytes;
    node->store_map_bytes = batch->store_map_bytes;
    if (batch->topology_changed) {
        take_topology(node, &batch->topology);
    }
    for (uint32_t i = 0; i < batch->views_count; i++) {
        controller_view_changed(node->controller, &batch->views[i], now_ms);
    }
    node_members_applied(node);
    controller_applied(node->controller, node->applied);
    enter_office_if_ready(node, now_ms);
    node_results_tell(batch);
    for (uint32_t i = 0; i < batch->results_count; i++) {
        const struct applier_result *result = &batch->results[i];
        divergence_note(&node->divergence, result->index, result->state_hash);
        node->replies = result->replies;
        proposals_applied(node->proposals, result->index, result->term, &result->result);
    }
    node->replies = slice_of(NULL, 0);
    node_tell_batch(node, batch);
    tell_core(node);
    propose_init_if_needed(node);
    controller_tick(node->controller, now_ms, node->io->wall_ms(node->ctx));
    node_pump(node);
    node_run(node);
}

void node_tick(struct node *node)
{
    node_watch_tick(node);
    node_snapshot_tick(node);
    node_members_watch(node);
    node_vouched_tick(node);
    peers_tick(node->peers, node_now_ms(node));
    if (node->in_office && node->loaded) {
        if (raft_is_out_of_touch(node->raft, node_now_ms(node))) {
            controller_out_of_touch(node->controller, node_now_ms(node));
        }
        controller_tick(node->controller, node_now_ms(node), node->io->wall_ms(node->ctx));
        propose_init_if_needed(node);
        node_members_tick(node);
        node_pump(node);
    }
    node_run(node);
}

void node_pump(struct node *node)
{
    /* An output's own consequences are drained by the loop that is already running. */
    if (node->pumping) {
        return;
    }
    node->pumping = true;
    struct controller_output *output = mem_new(sizeof(*output));
    while (controller_next(node->controller, node_now_ms(node), output)) {
        do_output(node, output);
    }
    mem_free(output);
    node->pumping = false;
}

static void load_run(const struct tables *tables, void *ctx)
{
    struct load *load = ctx;
    applier_topology(tables, &load->topology);
    uint32_t count = load->topology.cluster.shards_count;
    load->views = mem_new_array(count, sizeof(*load->views));
    for (uint32_t i = 0; i < count; i++) {
        CHECK(query_shard(tables, (struct shard_id){.value = i + 1}, &load->views[i]) == ERR_OK);
    }
    load->views_count = count;
    kv_position(tables, &load->kv);
}

static void load_done(void *ctx)
{
    struct load *load = ctx;
    struct node *node = load->node;
    if (node->closing) {
        mem_free(load->views);
        mem_free(load);
        return;
    }
    uint64_t now_ms = node_now_ms(node);
    if (load->topology.cluster.cluster.hi != 0 || load->topology.cluster.cluster.lo != 0) {
        take_topology(node, &load->topology);
    }
    for (uint32_t i = 0; i < load->views_count; i++) {
        controller_view_changed(node->controller, &load->views[i], now_ms);
    }
    controller_applied(node->controller, node->applied);
    node->loaded = true;
    node_members_applied(node);
    node_tell_loaded(node, &load->kv);
    if (node->applied > 0) {
        /* So that a state that is wrong from the start is found though nothing is written. */
        divergence_note(&node->divergence, node->applied, node->state_hash);
        tell_core(node);
    }
    log_event(LOG_INFO, "member.loaded", "shards=%" PRIu32, load->views_count);
    mem_free(load->views);
    mem_free(load);
    node_pump(node);
    node_run(node);
}

static void take_topology(struct node *node, const struct applier_topology *topology)
{
    const struct cluster_info *cluster = &topology->cluster;
    node->initialized = true;
    node_members_take(node, topology);
    controller_cluster_changed(
        node->controller, cluster->cluster, node->config->name, cluster->lease_ms);
    controller_recovery_changed(node->controller, cluster->cluster_epoch, cluster->unconfirmed);
    controller_regions_changed(node->controller, topology->regions, topology->regions_count);
}

static void tell_core(struct node *node)
{
    const struct node_event event = {
        .core = {.type = RAFT_EVENT_APPLIED,
                 .applied = {.index = node->applied, .state_hash = node->state_hash}},
    };
    node_post(node, &event);
}

/* An elected leader acts only once an entry of its own term was applied: until then its mirror may
 * lag behind what earlier leaders decided, and it would decide and answer renewals by an old view.
 */
static void enter_office_if_ready(struct node *node, uint64_t now_ms)
{
    if (node->role != RAFT_LEADER || node->in_office || node->applied_term != node->term) {
        return;
    }
    node->in_office = true;
    controller_elected(node->controller, node->term, now_ms);
    log_event(LOG_INFO, "member.in_office", "term=%" PRIu64, node->term);
}

/* In office the state is known: if it is empty then, it is empty everywhere. */
static void propose_init_if_needed(struct node *node)
{
    if (!node->in_office || node->initialized || node->init_proposed) {
        return;
    }
    const struct member_config *config = node->config;
    struct command *command = mem_new(sizeof(*command));
    command->kind = COMMAND_CLUSTER_INIT;
    command->leader_term = node->term;
    (void)snprintf(command->actor, sizeof(command->actor), "leader");
    struct command_cluster_init *init = &command->cluster_init;
    init->cluster = config->cluster;
    (void)snprintf(init->name, sizeof(init->name), "%s", config->cluster_name);
    memcpy(init->regions, config->regions, sizeof(init->regions));
    init->regions_count = config->regions_count;
    memcpy(init->members, config->members, sizeof(init->members));
    init->members_count = config->members_count;
    init->lease_ms = config->lease_ms;
    node->init_proposed = true;
    node_propose(node, command, (struct proposals_waiter){.done = on_init_done, .ctx = node});
    mem_free(command);
}

static void on_init_done(enum error error, const struct command_result *result, void *ctx)
{
    struct node *node = ctx;
    enum error outcome = result == NULL ? error : result->error;
    if (outcome == ERR_OK) {
        return;
    }
    node->init_proposed = false;
    log_event(LOG_WARN,
              "cluster.init_failed",
              "error=%s why=%s",
              error_name(outcome),
              log_quote(result == NULL ? "-" : result->message));
}

static void do_output(struct node *node, const struct controller_output *output)
{
    switch (output->kind) {
    case CONTROLLER_PROPOSE:
        propose_for_controller(node, output);
        return;
    case CONTROLLER_READ:
        read_for_controller(node, output->read_id);
        return;
    case CONTROLLER_WELCOME:
    case CONTROLLER_GOAL:
    case CONTROLLER_RENEWAL_ANSWER:
    case CONTROLLER_CLOSE:
        if (node->sessions.on_output != NULL) {
            node->sessions.on_output(output, node->sessions.ctx);
        }
        return;
    }
}

static void propose_for_controller(struct node *node, const struct controller_output *output)
{
    struct node_ticket *ticket = mem_new(sizeof(*ticket));
    ticket->node = node;
    LIST_INSERT_HEAD(&node->tickets, ticket, others);
    ticket->ticket = output->propose.ticket;
    const enum command_kind kind = output->propose.command.kind;
    FAILPOINT_IF(kind == COMMAND_FAILOVER_BEGIN, "failover.begin.before");
    FAILPOINT_IF(kind == COMMAND_FAILOVER_EXCLUDED, "failover.excluded.before");
    FAILPOINT_IF(kind == COMMAND_FAILOVER_COMPLETED, "failover.completed.before");
    FAILPOINT_IF(kind == COMMAND_FAILOVER_DECIDED, "failover.decided.before");
    FAILPOINT_IF(kind == COMMAND_FAILOVER_PROMOTED, "failover.promoted.before");
    FAILPOINT_IF(kind == COMMAND_FAILOVER_OPENED, "failover.opened.before");
    node_propose(node,
                 &output->propose.command,
                 (struct proposals_waiter){.done = on_ticket_done, .ctx = ticket});
    FAILPOINT_IF(kind == COMMAND_FAILOVER_BEGIN, "failover.begin.after");
    FAILPOINT_IF(kind == COMMAND_FAILOVER_EXCLUDED, "failover.excluded.after");
    FAILPOINT_IF(kind == COMMAND_FAILOVER_COMPLETED, "failover.completed.after");
    FAILPOINT_IF(kind == COMMAND_FAILOVER_DECIDED, "failover.decided.after");
    FAILPOINT_IF(kind == COMMAND_FAILOVER_PROMOTED, "failover.promoted.after");
    FAILPOINT_IF(kind == COMMAND_FAILOVER_OPENED, "failover.opened.after");
}

static void on_ticket_done(enum error error, const struct command_result *result, void *ctx)
{
    struct node_ticket *ticket = ctx;
    struct node *node = ticket->node;
    const struct command_result nothing = {.error = error};
    if (error != ERR_OUTCOME_UNKNOWN) {
        controller_proposed(node->controller, ticket->ticket, error == ERR_OK ? result : &nothing);
    }
    LIST_REMOVE(ticket, others);
    mem_free(ticket);
}

static void read_for_controller(struct node *node, uint64_t read_id)
{
    struct node_read_request request = {.controller_read_id = read_id};
    struct node_reads *reads = &node->reads_new;
    if (reads->count == reads->cap) {
        reads->cap = reads->cap == 0 ? 16 : reads->cap * 2;
        reads->items = mem_resize(reads->items, reads->cap * sizeof(*reads->items));
    }
    reads->items[reads->count++] = request;
}
