/* SPDX-License-Identifier: Apache-2.0 */
/* One batch on the apply thread: bytes to commands, commands into the tables, and a copy of every
 * view that changed for the deciders. */
#include "node/applier_internal.h"

#include "base/check.h"
#include "base/log.h"
#include "base/mem.h"
#include "wire/wire_command.h"

#include <inttypes.h>
#include <stdio.h>

enum {
    /* Replies of one batch, but for what the last entry adds: members with much to catch up on
     * apply many entries in one go, and each may answer KV_ANSWER_BYTES_MAX. */
    REPLIES_BYTES_MAX = 16 << 20
};

struct changed_shards {
    struct shard_id ids[APPLIER_BATCH_MAX];
    uint32_t count;
};

static void apply_one(struct applier *applier,
                      const struct raft_entry *entry,
                      const struct tables *tables,
                      struct applier_job *job,
                      struct changed_shards *changed);
static void point_at_replies(struct applier_batch *batch);
static enum error decode(const struct raft_entry *entry, struct command *command_out);
static void note_changed(struct changed_shards *changed, struct shard_id shard);
static void copy_views(struct applier_batch *batch,
                       const struct changed_shards *changed,
                       const struct tables *tables);

void applier_run_entries(struct applier *applier,
                         struct applier_job *job,
                         const struct tables *tables)
{
    CHECK(job->batch == NULL);
    struct applier_batch *batch = mem_new(sizeof(*batch));
    job->batch = batch;
    batch->results = mem_new_array(job->entries_count, sizeof(*batch->results));
    struct changed_shards changed = {.count = 0};
    for (uint32_t i = 0; i < job->entries_count; i++) {
        apply_one(applier, &job->entries[i], tables, job, &changed);
        applier->dirty = true;
        /* Entries can bring a megabyte each: all of a job would not fit a transaction's map. */
        applier_commit_if_due(applier);
        if (batch->replies.len >= REPLIES_BYTES_MAX && i + 1 < job->entries_count) {
            MARK("applier.put_off");
            applier_put_off(applier, job, i + 1);
        }
    }
    point_at_replies(batch);
    kv_position(tables, &batch->kv);
    batch->kv_sweep_pending = kv_sweep_pending(tables);
    copy_views(batch, &changed, tables);
    if (batch->topology_changed) {
        applier_topology(tables, &batch->topology);
    }
    apply_position(tables, &batch->position);
    CHECK(batch->position.index == applier->applied_index);
    batch->store_used_bytes = applier->used_bytes;
    batch->store_map_bytes = applier->map_bytes;
}

static void apply_one(struct applier *applier,
                      const struct raft_entry *entry,
                      const struct tables *tables,
                      struct applier_job *job,
                      struct changed_shards *changed)
{
    CHECK(entry->index == applier->applied_index + 1);
    struct applier_batch *batch = job->batch;
    struct applier_result *result = &batch->results[batch->results_count++];
    struct command *command = mem_new(sizeof(*command));
    struct apply_entry apply = {
        .index = entry->index,
        .term = entry->term,
        .raft_kind = (uint8_t)entry->kind,
        .payload = blob_view(entry->payload),
        .replies = &batch->replies,
    };
    size_t replies_before = batch->replies.len;
    if (entry->kind == RAFT_ENTRY_COMMAND) {
        enum error error = decode(entry, command);
        if (error == ERR_VERSION) {
            char text[160];
            (void)snprintf(text,
                           sizeof(text),
                           "log entry %" PRIu64 " is of a newer version of indaba: upgrade this "
                           "member to the version of the leader",
                           entry->index);
            applier->options.on_fatal(error, text, applier->options.ctx);
        }
        apply.undecodable = error != ERR_OK;
        apply.command = error == ERR_OK ? command : NULL;
    }
    struct shard_id shard = {0};
    apply_entry(tables, &apply, &result->result, &shard);
    result->replies.len = batch->replies.len - replies_before;
    result->index = entry->index;
    result->term = entry->term;
    struct apply_position position;
    apply_position(tables, &position);
    result->state_hash = position.state_hash;
    result->kind = apply.command == NULL ? COMMAND_NONE : command->kind;
    applier->applied_index = entry->index;
    if (shard.value != 0) {
        note_changed(changed, shard);
    }
    if (command_kind_changes_topology(result->kind)) {
        batch->topology_changed = true;
    }
    mem_free(command);
}

/* Now that the buffer moves no more. */
static void point_at_replies(struct applier_batch *batch)
{
    size_t offset = 0;
    for (uint32_t i = 0; i < batch->results_count; i++) {
        struct slice *replies = &batch->results[i].replies;
        *replies = slice_of(batch->replies.data + offset, replies->len);
        offset += replies->len;
    }
    CHECK(offset == batch->replies.len);
}

static enum error decode(const struct raft_entry *entry, struct command *command_out)
{
    return wire_command_decode(blob_view(entry->payload), command_out);
}

void applier_topology(const struct tables *tables, struct applier_topology *topology_out)
{
    query_cluster(tables, &topology_out->cluster);
    topology_out->regions_count = query_regions(tables, topology_out->regions, REGIONS_MAX);
    topology_out->members_count = query_members(tables, topology_out->members, MEMBERS_MAX);
    CHECK(topology_out->regions_count <= REGIONS_MAX);
    CHECK(topology_out->members_count <= MEMBERS_MAX);
}

static void note_changed(struct changed_shards *changed, struct shard_id shard)
{
    for (uint32_t i = 0; i < changed->count; i++) {
        if (changed->ids[i].value == shard.value) {
            return;
        }
    }
    CHECK(changed->count < APPLIER_BATCH_MAX);
    changed->ids[changed->count++] = shard;
}

static void copy_views(struct applier_batch *batch,
                       const struct changed_shards *changed,
                       const struct tables *tables)
{
    if (changed->count == 0) {
        return;
    }
    batch->views = mem_new_array(changed->count, sizeof(*batch->views));
    for (uint32_t i = 0; i < changed->count; i++) {
        CHECK(query_shard(tables, changed->ids[i], &batch->views[i]) == ERR_OK);
    }
    batch->views_count = changed->count;
}
