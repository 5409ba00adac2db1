/* SPDX-License-Identifier: Apache-2.0 */
/* The loop: take the next thing that happens, step the core it concerns, carry out its update, let
 * the oracle look. */
#include "tests/support/raft_cluster.h"

#include "base/check.h"
#include "base/mem.h"
#include "tests/support/raft_cluster_internal.h"

enum {
    SNAPSHOT_CHUNK_BYTES = 64,
};

static bool run_one(struct raft_cluster *cluster, uint64_t until_ms);
static uint32_t next_timer(const struct raft_cluster *cluster);
static void take_item(struct raft_cluster *cluster, struct sim_item item);
static void
carry_out(struct raft_cluster *cluster, uint32_t node, const struct raft_update *update);
static void send(struct raft_cluster *cluster, const struct raft_message *message);
static struct raft_message *message_dup(const struct raft_message *message);
static void
commit_up_to(struct raft_cluster *cluster, uint32_t node, const struct raft_update *update);
static void note_configuration(struct raft_cluster *cluster, uint32_t node);
static void
answer_read(struct raft_cluster *cluster, uint32_t node, const struct raft_read_ready *ready);
static void trace_sink(const char *line, void *ctx);

struct raft_cluster *raft_cluster_new(const struct raft_cluster_options *options)
{
    CHECK(options->nodes >= 1 && options->nodes <= SIM_NODES_MAX);
    struct raft_cluster *cluster = mem_new(sizeof(*cluster));
    cluster->options = *options;
    if (options->voters == 0) {
        cluster->options.voters = options->nodes;
    }
    sim_net_init(&cluster->net, options->seed, options->link);
    cluster->founding.count = options->founders != 0 ? options->founders : options->nodes;
    for (uint32_t node = 1; node <= options->nodes; node++) {
        if (node <= cluster->founding.count) {
            cluster->founding.servers[node - 1] = (struct raft_server){
                .id = raft_cluster_member(node),
                .voter = node <= cluster->options.voters,
                .region = options->regions == 0 ? 0 : (node - 1) % options->regions + 1,
            };
        }
        sim_disk_init(&cluster->nodes[node].disk,
                      options->seed * 31 + node,
                      options->disk_min_ms,
                      options->disk_max_ms);
    }
    for (uint32_t node = 1; node <= options->nodes; node++) {
        raft_cluster_boot(cluster, node);
    }
    return cluster;
}

void raft_cluster_free(struct raft_cluster *cluster)
{
    while (sim_queue_peek(&cluster->queue) != NULL) {
        struct sim_item item = sim_queue_pop(&cluster->queue);
        if (item.kind == ITEM_DELIVER) {
            raft_message_deinit(item.data);
            mem_free(item.data);
        } else if (item.kind >= ITEM_READ) {
            raft_cluster_snapshot_drop(&item);
        }
    }
    for (uint32_t node = 1; node <= cluster->options.nodes; node++) {
        raft_free(cluster->nodes[node].raft);
        buf_deinit(&cluster->nodes[node].partial);
        sim_disk_deinit(&cluster->nodes[node].disk);
    }
    sim_queue_deinit(&cluster->queue);
    raft_oracle_deinit(&cluster->oracle);
    buf_deinit(&cluster->trace);
    mem_free(cluster->reads);
    mem_free(cluster);
}

void raft_cluster_run(struct raft_cluster *cluster, uint64_t ms)
{
    uint64_t until = cluster->now_ms + ms;
    while (run_one(cluster, until)) {
    }
    cluster->now_ms = until;
}

bool raft_cluster_run_until(struct raft_cluster *cluster,
                            bool (*condition)(struct raft_cluster *cluster),
                            uint64_t ms)
{
    uint64_t until = cluster->now_ms + ms;
    while (!condition(cluster)) {
        if (!run_one(cluster, until)) {
            cluster->now_ms = until;
            return condition(cluster);
        }
    }
    return true;
}

void raft_cluster_boot(struct raft_cluster *cluster, uint32_t node)
{
    struct raft_cluster_node *host = &cluster->nodes[node];
    const struct raft_cluster_options *given = &cluster->options;
    CHECK(host->raft == NULL);
    struct raft_options options = {
        .self = raft_cluster_member(node),
        .seed = given->seed * 1009 + node * 17 + host->life,
        .heartbeat_ms = given->heartbeat_ms,
        .election_ms = given->election_ms,
        .inflight_messages_max = given->inflight_messages_max,
        .append_bytes_max = given->append_bytes_max,
        .log_tail_entries = given->log_tail_entries,
        .log_tail_bytes = given->log_tail_bytes,
        .snapshot_chunk_bytes =
            given->snapshot_chunk_bytes != 0 ? given->snapshot_chunk_bytes : SNAPSHOT_CHUNK_BYTES,
        .snapshot_bytes_per_s = given->snapshot_bytes_per_s,
        .rank = node - 1,
        .trace = given->trace ? trace_sink : NULL,
        .trace_ctx = cluster,
    };
    host->life++;
    host->completed = 0;
    host->paused_until_ms = 0;
    cluster->stepping = node;
    struct raft_recovered recovered = sim_disk_recover(&host->disk, &cluster->founding);
    recovered.partial_index = host->partial.len > 0 ? host->partial_index : 0;
    recovered.partial_term = host->partial_term;
    recovered.partial_bytes = host->partial.len;
    host->commit = recovered.applied_index;
    host->raft = raft_new(&options, &recovered, cluster->now_ms);
    host->update = (struct raft_update){.term = recovered.hard_state.term};
    note_configuration(cluster, node);
    note_configuration(cluster, node);
    host->deadline_ms = cluster->now_ms;
}

void raft_cluster_step_node(struct raft_cluster *cluster, uint32_t node, struct raft_event event)
{
    struct raft_cluster_node *host = &cluster->nodes[node];
    CHECK(host->raft != NULL);
    event.now_ms = cluster->now_ms;
    cluster->stepping = node;
    cluster->steps++;
    struct raft_update update;
    raft_step(host->raft, &event, &update);
    raft_check_invariants(host->raft);
    carry_out(cluster, node, &update);
}

bool raft_cluster_is_up(const struct raft_cluster *cluster, uint32_t node)
{
    return cluster->nodes[node].raft != NULL;
}

/* False when nothing happens before `until_ms` any more. */
static bool run_one(struct raft_cluster *cluster, uint64_t until_ms)
{
    const struct sim_item *top = sim_queue_peek(&cluster->queue);
    uint32_t timer = next_timer(cluster);
    uint64_t timer_ms = timer != 0 ? cluster->nodes[timer].deadline_ms : UINT64_MAX;
    uint64_t item_ms = top != NULL ? top->time : UINT64_MAX;
    uint64_t next_ms = item_ms < timer_ms ? item_ms : timer_ms;
    if (next_ms > until_ms) {
        return false;
    }
    if (next_ms > cluster->now_ms) {
        cluster->now_ms = next_ms;
    }
    if (item_ms <= timer_ms) {
        take_item(cluster, sim_queue_pop(&cluster->queue));
    } else {
        raft_cluster_step_node(cluster, timer, (struct raft_event){.type = RAFT_EVENT_TICK});
    }
    return true;
}

static uint32_t next_timer(const struct raft_cluster *cluster)
{
    uint32_t next = 0;
    for (uint32_t node = 1; node <= cluster->options.nodes; node++) {
        const struct raft_cluster_node *host = &cluster->nodes[node];
        if (host->raft != NULL &&
            (next == 0 || host->deadline_ms < cluster->nodes[next].deadline_ms)) {
            next = node;
        }
    }
    return next;
}

static void take_item(struct raft_cluster *cluster, struct sim_item item)
{
    struct raft_cluster_node *host = &cluster->nodes[item.node];
    if (host->raft != NULL && host->paused_until_ms > cluster->now_ms) {
        item.time = host->paused_until_ms;
        sim_queue_push(&cluster->queue, item);
        return;
    }
    switch ((enum raft_cluster_item)item.kind) {
    case ITEM_DELIVER:
        if (host->raft != NULL) {
            raft_cluster_step_node(
                cluster,
                item.node,
                (struct raft_event){.type = RAFT_EVENT_RECEIVE, .message = item.data});
        }
        raft_message_deinit(item.data);
        mem_free(item.data);
        break;
    case ITEM_COMPLETE:
        /* `number` is the write in the low half and the life that issued it in the high one. */
        if (host->raft != NULL && item.number >> 40 == host->life) {
            uint64_t seq = item.number & ((UINT64_C(1) << 40) - 1);
            if (seq <= host->completed) {
                /* Told already: a pause let a later completion through first. */
                break;
            }
            host->completed = seq;
            sim_disk_complete(&host->disk, seq);
            raft_cluster_step_node(
                cluster,
                item.node,
                (struct raft_event){.type = RAFT_EVENT_PERSISTED, .persisted_seq = seq});
        }
        break;
    case ITEM_DEAD:
        if (host->raft != NULL && cluster->nodes[item.number].raft == NULL) {
            raft_cluster_evidence(cluster, item.node, (uint32_t)item.number, true);
        }
        break;
    case ITEM_READ:
    case ITEM_WRITE:
    case ITEM_INSTALL:
        raft_cluster_snapshot_task(cluster, &item);
        break;
    }
}

static void carry_out(struct raft_cluster *cluster, uint32_t node, const struct raft_update *update)
{
    struct raft_cluster_node *host = &cluster->nodes[node];
    CHECK(update->term >= host->update.term);
    CHECK(update->commit >= host->commit);
    if (update->write.seq != 0) {
        uint64_t done = sim_disk_write(&host->disk, &update->write, cluster->now_ms);
        sim_queue_push(&cluster->queue,
                       (struct sim_item){
                           .time = done,
                           .kind = ITEM_COMPLETE,
                           .node = node,
                           .number = (uint64_t)host->life << 40 | update->write.seq,
                       });
    }
    if (update->role == RAFT_LEADER) {
        raft_oracle_leader(&cluster->oracle, node, update->term, host->raft);
    }
    for (uint32_t i = 0; i < update->messages_count; i++) {
        send(cluster, &update->messages[i]);
    }
    commit_up_to(cluster, node, update);
    raft_cluster_snapshot_update(cluster, node, update);
    for (uint32_t i = 0; i < update->reads_count; i++) {
        answer_read(cluster, node, &update->reads[i]);
    }
    if (update->configuration_changed) {
        note_configuration(cluster, node);
    }
    host->update = *update;
    host->deadline_ms = update->next_deadline_ms > host->paused_until_ms ? update->next_deadline_ms
                                                                         : host->paused_until_ms;
}

static void send(struct raft_cluster *cluster, const struct raft_message *message)
{
    uint32_t from = (uint32_t)message->from.lo;
    uint32_t to = (uint32_t)message->to.lo;
    raft_cluster_trace_message(cluster, message);
    raft_cluster_check_promises(cluster, from, message);
    uint64_t delays[SIM_COPIES_MAX];
    uint32_t copies = sim_net_plan(&cluster->net, from, to, delays);
    for (uint32_t i = 0; i < copies; i++) {
        sim_queue_push(&cluster->queue,
                       (struct sim_item){
                           .time = cluster->now_ms + delays[i],
                           .kind = ITEM_DELIVER,
                           .node = to,
                           .data = message_dup(message),
                       });
    }
}

static struct raft_message *message_dup(const struct raft_message *message)
{
    struct raft_message *copy = mem_dup(message, sizeof(*message));
    if (message->type == RAFT_APPEND) {
        uint32_t count = message->append.entries_count;
        copy->append.entries = mem_new_array(count, sizeof(*copy->append.entries));
        for (uint32_t i = 0; i < count; i++) {
            copy->append.entries[i] = message->append.entries[i];
            blob_ref(copy->append.entries[i].payload);
        }
    } else if (message->type == RAFT_INSTALL_SNAPSHOT) {
        blob_ref(copy->install_snapshot.chunk);
    }
    return copy;
}

static void
commit_up_to(struct raft_cluster *cluster, uint32_t node, const struct raft_update *update)
{
    struct raft_cluster_node *host = &cluster->nodes[node];
    /* Who installs a snapshot is handed nothing to apply behind it. */
    CHECK(host->installing.index == 0 || host->commit == update->commit);
    while (host->commit < update->commit) {
        host->commit++;
        const struct raft_entry *entry = raft_entry_at(host->raft, host->commit);
        CHECK(entry != NULL);
        if (!raft_oracle_commit(&cluster->oracle, update->term, entry)) {
            continue;
        }
        raft_cluster_check_holders(cluster, update->term, entry);
    }
}

static void note_configuration(struct raft_cluster *cluster, uint32_t node)
{
    struct raft_cluster_node *host = &cluster->nodes[node];
    host->configuration_before = host->configuration;
    host->configuration = raft_cluster_status(cluster, node).configuration;
}

static void
answer_read(struct raft_cluster *cluster, uint32_t node, const struct raft_read_ready *ready)
{
    for (uint32_t i = 0; i < cluster->reads_count; i++) {
        struct raft_cluster_read *read = &cluster->reads[i];
        if (read->id != ready->read_id) {
            continue;
        }
        CHECK(read->node == node && read->life == cluster->nodes[node].life);
        if (ready->confirmed) {
            raft_oracle_read(read->committed_before, ready->index);
            cluster->reads_confirmed++;
            raft_cluster_note(cluster,
                              "%u: read %llu from index %llu",
                              node,
                              (unsigned long long)ready->read_id,
                              (unsigned long long)ready->index);
        } else {
            cluster->reads_refused++;
            raft_cluster_note(
                cluster, "%u: read %llu refused", node, (unsigned long long)ready->read_id);
        }
        cluster->reads_count--;
        *read = cluster->reads[cluster->reads_count];
        return;
    }
    UNREACHABLE("a read is answered twice");
}

static void trace_sink(const char *line, void *ctx)
{
    struct raft_cluster *cluster = ctx;
    raft_cluster_note(cluster, "%u: %s", cluster->stepping, line);
}
