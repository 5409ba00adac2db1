/* SPDX-License-Identifier: Apache-2.0 */
/* One batch: bytes to commands, commands into the tables, and a copy of every view that changed for
 * the deciders. */
#include "node/applier_batch.h"

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

static void apply_one(const struct applier_pass *pass,
                      const struct raft_entry *entry,
                      struct applier_batch *batch,
                      struct changed_shards *changed);
static void point_at_replies(struct applier_batch *batch);
static enum error decode(const struct raft_entry *entry, struct command *command_out);
static void note_changed(struct changed_shards *changed, struct shard_id shard);
static void copy_views(struct applier_batch *batch,
                       const struct changed_shards *changed,
                       const struct tables *tables);

uint32_t applier_batch_run(const struct applier_pass *pass,
                           const struct raft_entry *entries,
                           uint32_t count,
                           struct applier_batch **batch_out)
{
    CHECK(count > 0 && count <= APPLIER_BATCH_MAX);
    struct applier_batch *batch = mem_new(sizeof(*batch));
    batch->results = mem_new_array(count, sizeof(*batch->results));
    struct changed_shards changed = {.count = 0};
    while (batch->results_count < count &&
           (batch->results_count == 0 || batch->replies.len < REPLIES_BYTES_MAX)) {
        apply_one(pass, &entries[batch->results_count], batch, &changed);
    }
    point_at_replies(batch);
    kv_position(pass->tables, &batch->kv);
    batch->kv_sweep_pending = kv_sweep_pending(pass->tables);
    copy_views(batch, &changed, pass->tables);
    if (batch->topology_changed) {
        applier_topology(pass->tables, &batch->topology);
    }
    apply_position(pass->tables, &batch->position);
    CHECK(batch->position.index == entries[batch->results_count - 1].index);
    *batch_out = batch;
    return batch->results_count;
}

void applier_batch_free(struct applier_batch *batch)
{
    mem_free(batch->results);
    mem_free(batch->views);
    buf_deinit(&batch->replies);
    mem_free(batch);
}

static void apply_one(const struct applier_pass *pass,
                      const struct raft_entry *entry,
                      struct applier_batch *batch,
                      struct changed_shards *changed)
{
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
            pass->on_too_new(pass->ctx, text);
        }
        apply.undecodable = error != ERR_OK;
        apply.command = error == ERR_OK ? command : NULL;
    }
    struct shard_id shard = {0};
    apply_entry(pass->tables, &apply, &result->result, &shard);
    result->replies.len = batch->replies.len - replies_before;
    result->index = entry->index;
    result->term = entry->term;
    struct apply_position position;
    apply_position(pass->tables, &position);
    CHECK(position.index == entry->index);
    result->state_hash = position.state_hash;
    result->kind = apply.command == NULL ? COMMAND_NONE : command->kind;
    if (shard.value != 0) {
        note_changed(changed, shard);
    }
    if (command_kind_changes_topology(result->kind)) {
        batch->topology_changed = true;
    }
    mem_free(command);
    pass->after_entry(pass->ctx, result);
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
