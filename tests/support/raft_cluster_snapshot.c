/* SPDX-License-Identifier: Apache-2.0 */
/* Snapshots of the virtual members: the file of a snapshot is a text that follows from its index
 * and from what was committed up to it, so that a wrong byte, a hole or a mixture is seen when it
 * is installed. A member keeps its latest two files. */
#include "base/check.h"
#include "base/mem.h"
#include "tests/support/raft_cluster.h"
#include "tests/support/raft_cluster_internal.h"

#include <inttypes.h>

/* What the shell does later than the step that asked for it. */
struct snapshot_task {
    uint64_t life;
    struct raft_snapshot_read read;
    struct raft_snapshot_write write;
    struct raft_snapshot_install install;
};

static struct blob *file_of(const struct raft_cluster *cluster, uint64_t index);
static void later(struct raft_cluster *cluster,
                  uint32_t node,
                  enum raft_cluster_item kind,
                  struct snapshot_task task);
static void
read_file(struct raft_cluster *cluster, uint32_t node, const struct snapshot_task *task);
static void
write_file(struct raft_cluster *cluster, uint32_t node, const struct snapshot_task *task);
static void install(struct raft_cluster *cluster, uint32_t node, const struct snapshot_task *task);
static void keep(struct raft_cluster *cluster,
                 uint32_t node,
                 struct raft_snapshot snapshot,
                 const struct raft_configuration *configuration);

bool raft_cluster_snapshot(struct raft_cluster *cluster, uint32_t node)
{
    struct raft_cluster_node *host = &cluster->nodes[node];
    uint64_t index = host->commit;
    if (host->raft == NULL || index <= host->disk.snapshot.index || host->installing.index != 0) {
        return false;
    }
    raft_cluster_step_node(
        cluster,
        node,
        (struct raft_event){.type = RAFT_EVENT_APPLIED, .applied = {.index = index}});
    const struct raft_entry *entry = raft_entry_at(host->raft, index);
    CHECK(entry != NULL);
    struct blob *file = file_of(cluster, index);
    struct raft_snapshot taken = {.index = index, .term = entry->term, .size = file->len};
    blob_unref(file);
    raft_cluster_note(cluster, "%u: has a snapshot at %" PRIu64, node, index);
    keep(cluster, node, taken, raft_configuration_at(host->raft, index));
    raft_cluster_step_node(
        cluster,
        node,
        (struct raft_event){.type = RAFT_EVENT_SNAPSHOT_TAKEN, .snapshot_taken = taken});
    return true;
}

void raft_cluster_snapshot_update(struct raft_cluster *cluster,
                                  uint32_t node,
                                  const struct raft_update *update)
{
    struct raft_cluster_node *host = &cluster->nodes[node];
    CHECK(update->log_cut_index <= host->disk.snapshot.index);
    if (update->write.restart_index == 0 && update->log_cut_index > host->disk.base &&
        host->disk.writes_count == 0) {
        sim_disk_cut(&host->disk, update->log_cut_index);
    }
    for (uint32_t i = 0; i < update->snapshot_reads_count; i++) {
        later(cluster, node, ITEM_READ, (struct snapshot_task){.read = update->snapshot_reads[i]});
    }
    if (update->snapshot_write.index != 0) {
        blob_ref(update->snapshot_write.chunk);
        later(cluster, node, ITEM_WRITE, (struct snapshot_task){.write = update->snapshot_write});
    }
    if (update->snapshot_install.index != 0) {
        CHECK(host->installing.index == 0);
        host->installing = update->snapshot_install;
        later(cluster,
              node,
              ITEM_INSTALL,
              (struct snapshot_task){.install = update->snapshot_install});
    }
}

void raft_cluster_snapshot_task(struct raft_cluster *cluster, const struct sim_item *item)
{
    struct snapshot_task *task = item->data;
    const struct raft_cluster_node *host = &cluster->nodes[item->node];
    bool lives = host->raft != NULL && host->life == task->life;
    if (lives && item->kind == ITEM_READ) {
        read_file(cluster, item->node, task);
    } else if (lives && item->kind == ITEM_WRITE) {
        write_file(cluster, item->node, task);
    } else if (lives && item->kind == ITEM_INSTALL) {
        install(cluster, item->node, task);
    }
    raft_cluster_snapshot_drop(item);
}

void raft_cluster_snapshot_drop(const struct sim_item *item)
{
    struct snapshot_task *task = item->data;
    blob_unref(task->write.chunk);
    mem_free(task);
}

void raft_cluster_snapshot_crash(struct raft_cluster *cluster, uint32_t node)
{
    struct raft_cluster_node *host = &cluster->nodes[node];
    struct raft_snapshot_install *order = &host->installing;
    if (order->index != 0 && cluster->options.torn_crashes && prng_chance(&host->disk.prng, 500)) {
        /* The state was replaced, and nobody was told: the log is still the old one. */
        struct blob *file = file_of(cluster, order->index);
        keep(cluster,
             node,
             (struct raft_snapshot){.index = order->index, .term = order->term, .size = file->len},
             &order->configuration);
        blob_unref(file);
    }
    *order = (struct raft_snapshot_install){0};
    if (prng_chance(&host->disk.prng, 500)) {
        buf_clear(&host->partial);
    }
}

static struct blob *file_of(const struct raft_cluster *cluster, uint64_t index)
{
    CHECK(index >= 1 && index <= cluster->oracle.committed_count);
    struct buf text = {0};
    for (uint64_t at = index > 20 ? index - 20 : 1; at <= index; at++) {
        buf_printf(
            &text, "%" PRIu64 ":%016" PRIx64 " ", at, cluster->oracle.committed[at - 1].digest);
    }
    struct blob *file = blob_new(buf_view(&text));
    buf_deinit(&text);
    return file;
}

static void later(struct raft_cluster *cluster,
                  uint32_t node,
                  enum raft_cluster_item kind,
                  struct snapshot_task task)
{
    struct raft_cluster_node *host = &cluster->nodes[node];
    task.life = host->life;
    uint64_t delay = prng_between(&host->disk.prng, host->disk.delay_min, host->disk.delay_max);
    uint64_t time = cluster->now_ms + delay;
    /* One thread reads, writes and installs, in order. */
    host->file_busy_ms = time > host->file_busy_ms ? time : host->file_busy_ms + 1;
    sim_queue_push(&cluster->queue,
                   (struct sim_item){
                       .time = host->file_busy_ms,
                       .kind = kind,
                       .node = node,
                       .data = mem_dup(&task, sizeof(task)),
                   });
}

static void read_file(struct raft_cluster *cluster, uint32_t node, const struct snapshot_task *task)
{
    const struct raft_cluster_node *host = &cluster->nodes[node];
    const struct raft_snapshot_read *read = &task->read;
    struct raft_event event = {
        .type = RAFT_EVENT_SNAPSHOT_READ,
        .snapshot_read = {.peer = read->peer,
                          .index = read->index,
                          .offset = read->offset,
                          .error = ERR_NOT_FOUND},
    };
    if (cluster->options.bad_reads_permille > 0 &&
        prng_chance(&cluster->nodes[node].disk.prng, cluster->options.bad_reads_permille)) {
        event.snapshot_read.error = ERR_IO;
    } else if (read->index == host->disk.snapshot.index || read->index == host->snapshot_before) {
        struct blob *file = file_of(cluster, read->index);
        CHECK(read->offset + read->length <= file->len);
        event.snapshot_read.chunk =
            blob_new(slice_of((const char *)file->data + read->offset, read->length));
        event.snapshot_read.error = ERR_OK;
        blob_unref(file);
    }
    raft_cluster_step_node(cluster, node, event);
    blob_unref(event.snapshot_read.chunk);
}

static void
write_file(struct raft_cluster *cluster, uint32_t node, const struct snapshot_task *task)
{
    struct raft_cluster_node *host = &cluster->nodes[node];
    const struct raft_snapshot_write *write = &task->write;
    if (write->offset == 0) {
        buf_clear(&host->partial);
        host->partial_index = write->index;
        host->partial_term = write->term;
    }
    bool fits = host->partial_index == write->index && host->partial.len == write->offset;
    if (fits) {
        struct slice bytes = blob_view(write->chunk);
        buf_append(&host->partial, bytes.data, bytes.len);
    }
    raft_cluster_step_node(cluster,
                           node,
                           (struct raft_event){
                               .type = RAFT_EVENT_SNAPSHOT_WRITTEN,
                               .snapshot_written = {.index = write->index,
                                                    .offset = write->offset + write->chunk->len,
                                                    .error = fits ? ERR_OK : ERR_NOT_FOUND},
                           });
}

static void install(struct raft_cluster *cluster, uint32_t node, const struct snapshot_task *task)
{
    struct raft_cluster_node *host = &cluster->nodes[node];
    uint64_t index = task->install.index;
    struct blob *file = file_of(cluster, index);
    CHECK(slice_equal(buf_view(&host->partial), blob_view(file)));
    CHECK(host->commit < index);
    CHECK(task->install.term == cluster->oracle.committed[index - 1].term);
    host->installing = (struct raft_snapshot_install){0};
    struct raft_event event = {
        .type = RAFT_EVENT_SNAPSHOT_INSTALLED,
        .snapshot_installed = {.index = index},
    };
    if (cluster->options.bad_files_permille > 0 &&
        prng_chance(&host->disk.prng, cluster->options.bad_files_permille)) {
        event.snapshot_installed.error = ERR_CORRUPT;
    } else {
        keep(cluster,
             node,
             (struct raft_snapshot){.index = index, .term = task->install.term, .size = file->len},
             &task->install.configuration);
        host->commit = index;
        cluster->installs++;
    }
    buf_clear(&host->partial);
    host->partial_index = 0;
    blob_unref(file);
    raft_cluster_step_node(cluster, node, event);
}

static void keep(struct raft_cluster *cluster,
                 uint32_t node,
                 struct raft_snapshot snapshot,
                 const struct raft_configuration *configuration)
{
    struct raft_cluster_node *host = &cluster->nodes[node];
    host->snapshot_before = host->disk.snapshot.index;
    sim_disk_keep_snapshot(&host->disk, snapshot, configuration);
}
