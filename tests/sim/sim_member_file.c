/* SPDX-License-Identifier: Apache-2.0 */
/* A coordinator's start from its disk, and its snapshots: taken as the log grows, read for peers,
 * received, installed. src/node/node_recover.c and node_snapshot.c in miniature, with the
 * same order of things and the real files. */
#include "tests/sim/sim_world.h"

#include "base/check.h"
#include "base/mem.h"
#include "state/query.h"

#include <inttypes.h>

struct sim_file_task {
    enum {
        FILE_TAKEN,
        FILE_READ,
        FILE_WRITE,
        FILE_INSTALL
    } kind;

    uint64_t generation;
    struct raft_snapshot taken;
    struct raft_snapshot_read read;
    struct raft_snapshot_write write;
    struct raft_snapshot_install install;
};

enum {
    FILE_US_MIN = 100,
    FILE_US_MAX = 5 * SIM_MS,
    TAKE_AGAIN_US = 2000 * SIM_MS,
};

static void tell_taken(struct sim *sim, struct sim_member *member);
static bool is_held(const struct sim_member *member);
static void later(struct sim *sim, struct sim_member *member, struct sim_file_task task);
static void read_chunk(struct sim *sim, struct sim_member *member, struct sim_file_task *task);
static void write_chunk(struct sim *sim, struct sim_member *member, struct sim_file_task *task);
static void install(struct sim *sim, struct sim_member *member, struct sim_file_task *task);
static enum error
replace_tables(struct sim *sim, struct sim_member *member, const struct snapshot_info *info);

bool sim_member_recover(struct sim *sim, struct sim_member *member, struct sim_recovered *found)
{
    struct reason reason = {0};
    enum error error = sim_store_open(&member->store, &reason, found);

    if (error == ERR_OK && member->tables_memory == NULL) {
        member->tables_memory = tables_memory_new();
    }
    if (error == ERR_OK) {
        struct apply_position position;
        member->tables = tables_memory_tables(member->tables_memory);
        apply_position(&member->tables, &position);
        member->applied = position.index;
        if (found->newest.index > position.index) {
            error = replace_tables(sim, member, &found->newest);
        }
    }
    if (error != ERR_OK) {
        /* Any other error is of a disk that can get well again. */
        member->rotten = error == ERR_CORRUPT;
        sim->refusals_count += member->rotten;
        sim_trace(sim, "member %u refuses to start: %s", member->node, reason.text);
        return false;
    }
    bool restarts =
        found->newest.index > found->last_index && found->newest.index == member->applied;
    if (member->applied > found->last_index && !restarts) {
        sim_fail(sim,
                 "member %u has applied %" PRIu64 " and its log ends at %" PRIu64,
                 member->node,
                 member->applied,
                 found->last_index);
        wal_recovered_deinit(&found->log);
        return false;
    }
    return true;
}

void sim_member_load(struct sim *sim, struct sim_member *member)
{
    struct cluster_info info;
    struct region regions[REGIONS_MAX];
    uint64_t now_ms = sim_member_local_ms(sim, member);

    query_cluster(&member->tables, &info);
    if (info.cluster.hi != 0 || info.cluster.lo != 0) {
        controller_cluster_changed(member->controller, info.cluster, "member", info.lease_ms);
        controller_regions_changed(
            member->controller, regions, query_regions(&member->tables, regions, REGIONS_MAX));
    }
    for (uint32_t i = 1; i <= info.shards_count; i++) {
        struct shard_view view;
        if (query_shard(&member->tables, (struct shard_id){i}, &view) == ERR_OK) {
            controller_view_changed(member->controller, &view, now_ms);
        }
    }
    controller_applied(member->controller, member->applied, now_ms);
}

void sim_member_file_update(struct sim *sim,
                            struct sim_member *member,
                            const struct raft_update *update)
{
    sim_store_cut(&member->store, update->log_cut_index);
    for (uint32_t i = 0; i < update->snapshot_reads_count; i++) {
        later(sim,
              member,
              (struct sim_file_task){.kind = FILE_READ, .read = update->snapshot_reads[i]});
    }
    if (update->snapshot_write.index != 0) {
        (void)blob_ref(update->snapshot_write.chunk);
        later(sim,
              member,
              (struct sim_file_task){.kind = FILE_WRITE, .write = update->snapshot_write});
    }
    if (update->snapshot_install.index != 0) {
        CHECK(!member->installing);
        member->installing = true;
        later(sim,
              member,
              (struct sim_file_task){.kind = FILE_INSTALL, .install = update->snapshot_install});
    }
    sim_member_take(sim, member, update->snapshot_wanted);
}

void sim_member_take(struct sim *sim, struct sim_member *member, bool wanted)
{
    uint64_t newest = member->store.newest.index;
    uint64_t every = sim->swarm.snapshot_every;
    struct apply_position position;
    struct reason reason = {0};

    /* In proportion to the state, so that a large one is not written over and over. */
    every = every > newest / 4 ? every : newest / 4;
    bool due = sim->swarm.snapshot_every != 0 && member->applied >= newest + every;
    if (member->taking || member->installing || !(due || wanted) ||
        sim->now_us < member->take_again_us || (!wanted && is_held(member))) {
        return;
    }
    if (member->applied <= newest) {
        if (member->applied == newest && newest > 0) {
            /* There can be no newer one; perhaps this one can be read now. */
            tell_taken(sim, member);
        }
        return;
    }
    apply_position(&member->tables, &position);
    CHECK(position.index == member->applied);
    const struct raft_configuration *configuration =
        raft_configuration_at(member->raft, position.index);
    if (configuration->count == 0) {
        return; /* it has joined, and has not heard yet who the members are */
    }
    if (sim_store_take(&member->store,
                       position.index,
                       position.term,
                       configuration,
                       &member->tables,
                       &reason) != ERR_OK) {
        sim_trace(sim, "member %u: %s", member->node, reason.text);
        member->take_again_us = sim->now_us + TAKE_AGAIN_US;
        return;
    }
    tell_taken(sim, member);
}

void sim_member_file(struct sim *sim, struct sim_member *member, const struct sim_item *item)
{
    struct sim_file_task *task = item->data;

    if (member->up && member->paused && task->generation == member->generation) {
        sim_after(sim, 20 * SIM_MS, *item);
        return;
    }
    if (member->up && task->generation == member->generation) {
        struct raft_event event = {.type = RAFT_EVENT_SNAPSHOT_TAKEN,
                                   .snapshot_taken = task->taken};
        switch (task->kind) {
        case FILE_TAKEN:
            member->taking = false;
            sim_member_step(sim, member, &event);
            break;
        case FILE_READ:
            read_chunk(sim, member, task);
            break;
        case FILE_WRITE:
            write_chunk(sim, member, task);
            break;
        case FILE_INSTALL:
            install(sim, member, task);
            break;
        }
        sim_member_settle(sim, member);
    }
    sim_member_file_drop(task);
}

void sim_member_file_drop(struct sim_file_task *task)
{
    blob_unref(task->write.chunk);
    mem_free(task);
}

static void tell_taken(struct sim *sim, struct sim_member *member)
{
    const struct snapshot_info *info = &member->store.newest;
    member->taking = true;
    later(sim,
          member,
          (struct sim_file_task){
              .kind = FILE_TAKEN,
              .taken = {.index = info->index, .term = info->term, .size = info->size}});
}

static bool is_held(const struct sim_member *member)
{
    struct raft_status status;
    raft_status(member->raft, &status);
    return status.snapshot_held;
}

/* One thread reads, writes and installs, in order. */
static void later(struct sim *sim, struct sim_member *member, struct sim_file_task task)
{
    uint64_t at_us = sim->now_us + sim_draw(sim, FILE_US_MIN, FILE_US_MAX);

    task.generation = member->generation;
    member->file_busy_us = at_us > member->file_busy_us ? at_us : member->file_busy_us + 1;
    sim_at(sim,
           member->file_busy_us,
           (struct sim_item){
               .kind = EV_MEMBER_FILE, .node = member->node, .data = mem_dup(&task, sizeof(task))});
}

static void read_chunk(struct sim *sim, struct sim_member *member, struct sim_file_task *task)
{
    const struct raft_snapshot_read *read = &task->read;
    struct raft_event event = {
        .type = RAFT_EVENT_SNAPSHOT_READ,
        .snapshot_read = {.peer = read->peer, .index = read->index, .offset = read->offset},
    };

    if (prng_chance(&sim->reads, sim->healing ? 0 : sim->swarm.bad_reads_permille)) {
        event.snapshot_read.error = prng_chance(&sim->reads, 800) ? ERR_IO : ERR_NOT_FOUND;
    } else {
        event.snapshot_read.error = snapshot_dir_read(&member->store.snapshots,
                                                      read->index,
                                                      read->offset,
                                                      read->length,
                                                      &event.snapshot_read.chunk);
    }
    sim_member_step(sim, member, &event);
    blob_unref(event.snapshot_read.chunk);
}

static void write_chunk(struct sim *sim, struct sim_member *member, struct sim_file_task *task)
{
    const struct raft_snapshot_write *write = &task->write;
    const struct snapshot_info info = {.index = write->index, .term = write->term};
    struct raft_event event = {
        .type = RAFT_EVENT_SNAPSHOT_WRITTEN,
        .snapshot_written = {.index = write->index, .offset = write->offset + write->chunk->len},
    };

    event.snapshot_written.error = snapshot_dir_receive(
        &member->store.snapshots, &info, write->offset, blob_view(write->chunk));
    sim_member_step(sim, member, &event);
}

static void install(struct sim *sim, struct sim_member *member, struct sim_file_task *task)
{
    const struct snapshot_info info = {.index = task->install.index, .term = task->install.term};
    struct reason reason = {0};
    struct raft_event event = {.type = RAFT_EVENT_SNAPSHOT_INSTALLED,
                               .snapshot_installed = {.index = info.index}};

    CHECK(info.index > member->applied);
    enum error error =
        snapshot_dir_accept(&member->store.snapshots, &info, member->store.cluster, &reason);
    if (error == ERR_OK) {
        error = replace_tables(sim, member, &info);
        CHECK(error == ERR_OK);
        member->store.newest = info;
        sim->installs_count++;
        sim_trace(sim, "member %u installs the snapshot at %" PRIu64, member->node, info.index);
        sim_member_load(sim, member);
        sim_serve_installed(sim, member);
    } else {
        sim_trace(sim, "member %u: %s", member->node, reason.text);
    }
    event.snapshot_installed.error = error;
    member->installing = false;
    sim_member_step(sim, member, &event);
    struct raft_status status;
    raft_status(member->raft, &status);
    if (status.snapshot.index == member->store.newest.index) {
        member->store.newest.size = status.snapshot.size;
    }
}

static enum error
replace_tables(struct sim *sim, struct sim_member *member, const struct snapshot_info *info)
{
    struct reason reason = {0};
    struct apply_position position;
    struct tables_memory *memory = tables_memory_new();
    struct tables tables = tables_memory_tables(memory);
    enum error error = sim_store_load(&member->store, info, &tables, &reason);

    if (error != ERR_OK) {
        sim_trace(sim, "member %u: %s", member->node, reason.text);
        tables_memory_free(memory);
        return error;
    }
    tables_memory_free(member->tables_memory);
    member->tables_memory = memory;
    member->tables = tables;
    apply_position(&member->tables, &position);
    CHECK(position.index == info->index);
    member->applied = info->index;
    if (position.state_hash != sim->applied[info->index].state_hash) {
        sim_fail(sim,
                 "member %u: the snapshot at %" PRIu64 " holds something else",
                 member->node,
                 info->index);
    }
    return ERR_OK;
}
