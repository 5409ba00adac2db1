/* SPDX-License-Identifier: Apache-2.0 */
/* Changes of the sync record, always joint (safety.md 3): begin appends the new pair, the primary
 * sets and confirms it, finish drops the old one. Meanwhile both pairs count wherever a quorum is
 * asked. */
#include "base/check.h"
#include "state/handler.h"

static bool may_change(struct handler *handler, const struct shard_view *view);
static bool pair_is_valid(struct handler *handler, const struct shard_view *view);

void sync_change_begin(struct handler *handler)
{
    const struct command_sync *body = &handler->command->sync;
    struct shard_view view;
    if (!handler_load_shard(handler, body->shard, &view) || !may_change(handler, &view) ||
        !pair_is_valid(handler, &view)) {
        return;
    }
    struct sync_record *sync = &view.shard.sync;
    if (sync->pairs_count != 1) {
        handler_refuse(handler,
                       ERR_PRECONDITION,
                       "a change of the sync record of shard '%s' is under way",
                       view.shard.name);
        return;
    }
    if (sync_pair_equal(&sync->pairs[0], &body->pair)) {
        handler_refuse(handler, ERR_EXISTS, "the sync record is so already");
        return;
    }
    sync->pairs[sync->pairs_count++] = body->pair;
    sync->version++;
    world_shard_put(handler->change, &view);
    handler->changed = view.shard.id;
    handler->result->id = sync->version;
}

void sync_change_finish(struct handler *handler)
{
    const struct command_sync *body = &handler->command->sync;
    struct shard_view view;
    if (!handler_load_shard(handler, body->shard, &view) || !may_change(handler, &view)) {
        return;
    }
    struct sync_record *sync = &view.shard.sync;
    if (sync->pairs_count != 2 || sync->version != body->version) {
        handler_refuse(handler,
                       ERR_PRECONDITION,
                       "no change of the sync record of shard '%s' waits for version %lu",
                       view.shard.name,
                       (unsigned long)body->version);
        return;
    }
    sync->pairs[0] = sync->pairs[1];
    sync->pairs[1] = (struct sync_pair){0};
    sync->pairs_count = 1;
    world_shard_put(handler->change, &view);
    handler->changed = view.shard.id;
    handler->result->id = sync->version;
}

static bool may_change(struct handler *handler, const struct shard_view *view)
{
    const struct shard *shard = &view->shard;
    if (shard->mode != SHARD_SYNC) {
        handler_refuse(handler, ERR_PRECONDITION, "shard '%s' is asynchronous", shard->name);
        return false;
    }
    if (handler->command->sync.epoch.value != shard->primary_epoch.value) {
        handler_refuse(handler,
                       ERR_STALE_EPOCH,
                       "the primary of shard '%s' is in office at epoch %lu",
                       shard->name,
                       (unsigned long)shard->primary_epoch.value);
        return false;
    }
    /* In step open the candidate is primary and must get its set to be able to open. */
    if (shard_view_in_failover(view) && view->failover.step != FAILOVER_OPEN) {
        handler_refuse(
            handler, ERR_PRECONDITION, "a failover of shard '%s' is under way", shard->name);
        return false;
    }
    return true;
}

static bool pair_is_valid(struct handler *handler, const struct shard_view *view)
{
    const struct sync_pair *pair = &handler->command->sync.pair;
    struct sync_record probe = {.pairs = {*pair}, .pairs_count = 1, .version = 1};
    if (sync_record_validate(&probe) != ERR_OK) {
        handler_refuse(handler, ERR_INVALID, "the new pair is out of order or asks for no copy");
        return false;
    }
    for (uint32_t i = 0; i < pair->members_count; i++) {
        const struct instance *instance = shard_view_instance(view, pair->members[i].instance);
        bool is_primary = pair->members[i].instance.value == view->shard.primary.value;
        if (instance == NULL || is_primary ||
            instance->incarnation.value != pair->members[i].incarnation.value) {
            handler_refuse(handler,
                           ERR_INVALID,
                           "instance %u is no standby of shard '%s' with that incarnation",
                           pair->members[i].instance.value,
                           view->shard.name);
            return false;
        }
    }
    return true;
}
