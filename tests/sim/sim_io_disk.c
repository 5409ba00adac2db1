/* SPDX-License-Identifier: Apache-2.0 */
/* A member's folder: its log, and what works on files there (node/node_io.h). Real files of
 * production on a disk in memory (sim_store.h); what takes a disk its time takes virtual time. */
#include "tests/sim/sim_world.h"

#include "base/check.h"
#include "base/mem.h"
#include "node/node_internal.h"
#include "storage/space.h"
#include "wire/wire_command.h"

#include <inttypes.h>

enum {
    GENERATION_SHIFT = 40,
    FILE_US_MIN = 100,
    FILE_US_MAX = 5 * SIM_MS,
    WRITES_MAX = 2000, /* that wait: beyond it proposals are not taken */
};

/* Work that comes to its end later. */
struct sim_file_task {
    uint64_t generation;
    struct node_file_job *job; /* NULL: to install `info` */
    struct snapshot_info info;
};

static enum error open_log(void *ctx, struct reason *reason, struct wal_recovered *log_out);
static enum error submit_write(void *ctx, const struct raft_write *write);
static void
look_at_own_entry(struct sim *sim, struct sim_member *member, const struct raft_entry *entry);
static bool log_has_room(void *ctx);
static void cut_log(void *ctx, uint64_t index);
static void probe_disk(void *ctx);
static void look_at_disk(void *ctx, struct node_disk_look *look_out);
static void begin_file(void *ctx, struct node_file_job *job);
static void install(void *ctx, const struct snapshot_info *info);
static void later(struct sim_member *member, struct sim_file_task task);
static void do_job(struct sim *sim, struct sim_member *member, struct node_file_job *job);
static void do_install(struct sim_member *member, const struct snapshot_info *info);

void sim_io_disk_fill(struct node_io *io)
{
    io->ground.open_log = open_log;
    io->submit_write = submit_write;
    io->log_has_room = log_has_room;
    io->cut_log = cut_log;
    io->probe_disk = probe_disk;
    io->look_at_disk = look_at_disk;
    io->begin_file = begin_file;
    io->install = install;
}

void sim_io_file(struct sim *sim, struct sim_member *member, const struct sim_item *item)
{
    struct sim_file_task *task = item->data;

    if (member->up && member->paused && task->generation == member->generation) {
        sim_after(sim, 20 * SIM_MS, *item);
        return;
    }
    bool waits = task->job == NULL && !STAILQ_EMPTY(&member->jobs);
    if (member->up && waits && task->generation == member->generation) {
        /* What was handed out before is applied before. */
        sim_after(sim, 20 * SIM_MS, *item);
        return;
    }
    if (member->up && task->generation == member->generation) {
        if (task->job == NULL) {
            do_install(member, &task->info);
        } else {
            do_job(sim, member, task->job);
            task->job = NULL;
        }
        sim_member_settle(sim, member);
    }
    sim_io_file_drop(task);
}

void sim_io_file_drop(struct sim_file_task *task)
{
    if (task->job != NULL) {
        node_file_free(task->job);
    }
    mem_free(task);
}

static enum error open_log(void *ctx, struct reason *reason, struct wal_recovered *log_out)
{
    struct sim_member *member = ctx;
    return sim_store_open(&member->store, reason, log_out);
}

static enum error submit_write(void *ctx, const struct raft_write *write)
{
    struct sim_member *member = ctx;
    struct sim *sim = member->sim;

    for (uint32_t i = 0; member->core->role == RAFT_LEADER && i < write->entries_count; i++) {
        if (write->entries[i].term == member->core->term) {
            look_at_own_entry(sim, member, &write->entries[i]);
        }
    }
    uint64_t done_us = sim_store_write(&member->store, write, sim->now_us);
    uint64_t number = member->generation << GENERATION_SHIFT | write->seq;
    sim_at(sim,
           done_us,
           (struct sim_item){.kind = EV_MEMBER_DISK, .node = member->node, .number = number});
    return ERR_OK;
}

/* What a leader appends it has just been asked for, or has decided. */
static void
look_at_own_entry(struct sim *sim, struct sim_member *member, const struct raft_entry *entry)
{
    static struct command command;

    if (entry->kind != RAFT_ENTRY_COMMAND ||
        wire_command_decode(blob_view(entry->payload), &command) != ERR_OK) {
        return;
    }
    if (command.kind == COMMAND_KV) {
        sim_serve_appended(sim, member, entry, command.kv.batch);
        return;
    }
    sim_trace(sim,
              "member %u proposes %s%s%s",
              member->node,
              command_kind_name(command.kind),
              command.kind == COMMAND_FAILOVER_BEGIN ? ": " : "",
              command.kind == COMMAND_FAILOVER_BEGIN ? command.failover.evidence : "");
    sim_check_proposal(sim, member, &command);
}

static bool log_has_room(void *ctx)
{
    const struct sim_member *member = ctx;
    return member->store.writes_count < WRITES_MAX;
}

static void cut_log(void *ctx, uint64_t index)
{
    struct sim_member *member = ctx;
    sim_store_cut(&member->store, index - 1);
}

static void probe_disk(void *ctx)
{
    (void)ctx;
}

static void look_at_disk(void *ctx, struct node_disk_look *look_out)
{
    const struct sim_member *member = ctx;
    const struct disk *disk = member->io.ground.disk;

    *look_out = (struct node_disk_look){
        .busy = member->store.writes_count > 0 || member->sim->now_us < member->disk_hangs_until_us,
        .progress = member->disk_done_seq,
        .has_reserve = true,
    };
    enum error error = disk->free_bytes(disk->ctx, "", &look_out->free_bytes);
    CHECK(error == ERR_OK);
    look_out->is_low = look_out->free_bytes < SPACE_LOW_BYTES;
}

/* A snapshot is of the state as it was when its reader began, and the tables have no readers: it is
 * written at once, and told of later. */
static void begin_file(void *ctx, struct node_file_job *job)
{
    struct sim_member *member = ctx;

    if (job->kind == NODE_FILE_TAKE) {
        struct apply_position position;
        apply_position(&member->tables, &position);
        CHECK(position.index == job->header.index);
        job->error = snapshot_dir_take(
            &member->store.snapshots, &job->header, &member->tables, &job->reason, &job->info);
    }
    later(member, (struct sim_file_task){.job = job});
}

static void install(void *ctx, const struct snapshot_info *info)
{
    later(ctx, (struct sim_file_task){.info = *info});
}

/* One thread takes, reads, writes and installs, in order. */
static void later(struct sim_member *member, struct sim_file_task task)
{
    struct sim *sim = member->sim;
    uint64_t at_us = sim->now_us + sim_draw(sim, FILE_US_MIN, FILE_US_MAX);

    task.generation = member->generation;
    member->file_busy_us = at_us > member->file_busy_us ? at_us : member->file_busy_us + 1;
    sim_at(sim,
           member->file_busy_us,
           (struct sim_item){
               .kind = EV_MEMBER_FILE, .node = member->node, .data = mem_dup(&task, sizeof(task))});
}

static void do_job(struct sim *sim, struct sim_member *member, struct node_file_job *job)
{
    const struct snapshot_dir *dir = &member->store.snapshots;
    bool fails = prng_chance(&sim->reads, sim->healing ? 0 : sim->swarm.bad_reads_permille);

    if (job->kind == NODE_FILE_READ && job->error == ERR_OK && fails) {
        job->error = prng_chance(&sim->reads, 800) ? ERR_IO : ERR_NOT_FOUND;
    } else if (job->kind == NODE_FILE_READ && job->error == ERR_OK) {
        job->error = snapshot_dir_read(
            dir, job->read.index, job->read.offset, job->read.length, &job->chunk);
    } else if (job->kind == NODE_FILE_WRITE) {
        job->error = snapshot_dir_receive(dir, &job->info, job->offset, blob_view(job->chunk));
    } else if (job->kind == NODE_FILE_VOUCHES || job->kind == NODE_FILE_UNMARK) {
        node_file_small(&member->io.ground, job);
    }
    node_file_done(member->core, job);
}

static void do_install(struct sim_member *member, const struct snapshot_info *info)
{
    struct sim *sim = member->sim;
    const struct snapshot_dir *dir = &member->store.snapshots;
    struct reason reason = {0};
    struct apply_position position;
    char path[SNAPSHOT_PATH_SIZE];

    CHECK(info->index > member->applied);
    enum error error = snapshot_dir_accept(dir, info, member->store.cluster, &reason);
    if (error == ERR_OK) {
        snapshot_dir_path(dir, info, path);
        error = sim_io_load(member, path, &reason);
        CHECK(error == ERR_OK);
        sim->installs_count++;
        sim_trace(sim, "member %u installs the snapshot at %" PRIu64, member->node, info->index);
    } else {
        sim_trace(sim, "member %u: %s", member->node, reason.text);
    }
    apply_position(&member->tables, &position);
    node_installed(member->core, error, reason.text, &position);
}
