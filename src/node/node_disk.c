/* SPDX-License-Identifier: Apache-2.0 */
/* The node's side of the append thread: writes go there in order, also those that its queue had no
 * room for; completions come back as the highest durable seq. */
#include "node/node_internal.h"

#include "base/check.h"
#include "base/clock.h"
#include "base/mem.h"
#include "base/metrics.h"

static struct metric durable_seconds = {
    .name = "indaba_wal_durable_seconds",
    .help = "From handing a write to the append thread until it is known durable.",
    .kind = METRIC_HISTOGRAM,
    .bounds = {0.0005, 0.001, 0.002, 0.005, 0.01, 0.02, 0.05, 0.1, 0.2, 0.5, 1, 2, 5},
    .bounds_count = 13,
};

static void note_submitted(struct node *node, uint64_t seq);
static void observe_durable(struct node *node, uint64_t from_seq, uint64_t to_seq);
static void keep(struct node_backlog *backlog, const struct raft_write *write);
static void release(struct raft_write *write);
static void retry(struct node *node);

void node_disk_register_metrics(void)
{
    metric_register(&durable_seconds);
}

void node_disk_submit(struct node *node, const struct raft_write *write)
{
    note_submitted(node, write->seq);
    if (node->backlog.count == 0) {
        enum error error = wal_writer_submit(node->writer, write);
        if (error != ERR_EXHAUSTED) {
            /* After a fatal error the process is about to end: node_disk_on_fatal. */
            CHECK(error == ERR_OK || error == ERR_CLOSED);
            return;
        }
    }
    keep(&node->backlog, write);
}

/* On the append thread. */
void node_disk_on_durable(uint64_t seq, uint64_t durable_index, void *ctx)
{
    (void)durable_index;
    struct node *node = ctx;
    atomic_store(&node->durable_seq, seq);
    CHECK(uv_async_send(&node->durable) == 0);
}

/* On the append thread. */
void node_disk_on_fatal(enum error error, const struct reason *reason, void *ctx)
{
    (void)ctx;
    node_die("log.failed", error, reason->text);
}

void node_disk_on_async(uv_async_t *async)
{
    struct node *node = async->data;
    if (node->closing) {
        return;
    }
    retry(node);
    uint64_t seq = atomic_load(&node->durable_seq);
    if (seq == node->persisted_seq) {
        return;
    }
    observe_durable(node, node->persisted_seq, seq);
    node->persisted_seq = seq;
    struct raft_update update;
    const struct raft_event event = {
        .type = RAFT_EVENT_PERSISTED, .now_ms = clock_monotonic_ms(), .persisted_seq = seq};
    node_step(node, &event, &update);
}

void node_disk_deinit(struct node *node)
{
    for (uint32_t i = 0; i < node->backlog.count; i++) {
        release(&node->backlog.writes[i]);
    }
    mem_free(node->backlog.writes);
    node->backlog = (struct node_backlog){0};
}

static void note_submitted(struct node *node, uint64_t seq)
{
    struct node_disk_times *times = &node->disk_times;
    times->seq[times->next] = seq;
    times->at_ns[times->next] = clock_boottime_ns();
    times->next = (times->next + 1) % NODE_DISK_TIMES;
}

static void observe_durable(struct node *node, uint64_t from_seq, uint64_t to_seq)
{
    const struct node_disk_times *times = &node->disk_times;
    uint64_t now_ns = clock_boottime_ns();
    for (uint32_t i = 0; i < NODE_DISK_TIMES; i++) {
        if (times->seq[i] > from_seq && times->seq[i] <= to_seq) {
            metric_observe(&durable_seconds, (double)(now_ns - times->at_ns[i]) / 1e9);
        }
    }
}

static void keep(struct node_backlog *backlog, const struct raft_write *write)
{
    if (backlog->count == backlog->cap) {
        backlog->cap = backlog->cap == 0 ? 16 : backlog->cap * 2;
        backlog->writes = mem_resize(backlog->writes, backlog->cap * sizeof(*backlog->writes));
    }
    struct raft_write copy = *write;
    copy.entries = NULL;
    if (write->entries_count > 0) {
        copy.entries = mem_dup(write->entries, write->entries_count * sizeof(*write->entries));
    }
    for (uint32_t i = 0; i < write->entries_count; i++) {
        (void)blob_ref(copy.entries[i].payload);
    }
    backlog->writes[backlog->count++] = copy;
}

static void release(struct raft_write *write)
{
    for (uint32_t i = 0; i < write->entries_count; i++) {
        blob_unref(write->entries[i].payload);
    }
    mem_free(write->entries);
}

static void retry(struct node *node)
{
    struct node_backlog *backlog = &node->backlog;
    uint32_t done = 0;
    while (done < backlog->count &&
           wal_writer_submit(node->writer, &backlog->writes[done]) == ERR_OK) {
        release(&backlog->writes[done]);
        done++;
    }
    for (uint32_t i = done; i < backlog->count; i++) {
        backlog->writes[i - done] = backlog->writes[i];
    }
    backlog->count -= done;
}
