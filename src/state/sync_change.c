/* SPDX-License-Identifier: Apache-2.0 */
/* Changes of the sync record, always joint (safety.md 3): begin appends the new pair, the primary
 * sets and confirms it, finish drops the old one. Meanwhile both pairs count wherever a quorum is
 * asked. */
#include "base/check.h"
#include "state/handler.h"

#include <inttypes.h>
#include <string.h>

static bool may_change(struct handler *handler, const struct shard_view *view);
static bool newest_cannot_confirm(const struct shard_view *view);
static bool takes_out_only(const struct sync_pair *newest, const struct sync_pair *pair);
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
    bool replaces = sync->pairs_count > 1 && sync->pairs_count < SYNC_PAIRS_MAX &&
                    (newest_cannot_confirm(&view) ||
                     takes_out_only(&sync->pairs[sync->pairs_count - 1], &body->pair));
    if (sync->pairs_count != 1 && !replaces) {
        handler_refuse(handler,
                       ERR_PRECONDITION,
                       "a change of the sync record of shard '%s' is under way",
                       view.shard.name);
        return;
    }
    if (sync_pair_equal(&sync->pairs[sync->pairs_count - 1], &body->pair)) {
        handler_refuse(handler, ERR_EXISTS, "the sync record is so already");
        return;
    }
    sync->pairs[sync->pairs_count++] = body->pair;
    sync->version++;
    world_shard_put(handler->change, &view);
    handler->changed = view.shard.id;
    handler->result->id = sync->version;
}

bool handler_required_is_lawful(struct handler *handler,
                                const struct shard *shard,
                                const struct sync_pair *pair)
{
    CHECK(shard->sync_required >= 1);
    uint32_t most = pair->members_count > 0 ? pair->members_count : 1;
    uint32_t least = shard->sync_required < most ? shard->sync_required : most;
    if (pair->required >= least && pair->required <= most) {
        return true;
    }
    handler_refuse(handler,
                   ERR_INVALID,
                   "shard '%s' wants each write on %" PRIu32 " standbys: of these %" PRIu32
                   " between %" PRIu32 " and %" PRIu32 " must hold it, not %" PRIu32,
                   shard->name,
                   shard->sync_required,
                   pair->members_count,
                   least,
                   most,
                   pair->required);
    return false;
}

void sync_change_finish(struct handler *handler)
{
    const struct command_sync *body = &handler->command->sync;
    struct shard_view view;
    if (!handler_load_shard(handler, body->shard, &view) || !may_change(handler, &view)) {
        return;
    }
    struct sync_record *sync = &view.shard.sync;
    if (sync->pairs_count < 2 || sync->version != body->version) {
        handler_refuse(handler,
                       ERR_PRECONDITION,
                       "no change of the sync record of shard '%s' waits for version %" PRIu64,
                       view.shard.name,
                       body->version);
        return;
    }
    /* What its members have confirmed covers every write before, under whichever older pair. */
    struct sync_pair newest = sync->pairs[sync->pairs_count - 1];
    if (!sync_pair_equal(&newest, &body->pair)) {
        handler_refuse(handler,
                       ERR_PRECONDITION,
                       "the pair to be kept is not the newest one of shard '%s'",
                       view.shard.name);
        return;
    }
    memset(sync->pairs, 0, sizeof(sync->pairs));
    sync->pairs[0] = newest;
    sync->pairs_count = 1;
    world_shard_put(handler->change, &view);
    handler->changed = view.shard.id;
    handler->result->id = sync->version;
}

/* It names a data folder that is gone: wiped just before it was named. All pairs stay recorded and
 * count until a newer one is confirmed. */
static bool newest_cannot_confirm(const struct shard_view *view)
{
    const struct sync_pair *newest = &view->shard.sync.pairs[view->shard.sync.pairs_count - 1];
    for (uint32_t i = 0; i < newest->members_count; i++) {
        const struct instance *instance = shard_view_instance(view, newest->members[i].instance);
        if (instance == NULL ||
            instance->incarnation.value != newest->members[i].incarnation.value) {
            return true;
        }
    }
    return false;
}

/* Somebody named in it turns out to have no database that could confirm (a base backup that was
 * taken for a standby, a folder wiped right after). Replacing it is safe whoever is taken out and
 * whatever he confirmed: nothing is dropped here, all pairs are asked until a newer one is
 * confirmed, and that confirmation covers every write before it. */
static bool takes_out_only(const struct sync_pair *newest, const struct sync_pair *pair)
{
    for (uint32_t i = 0; i < pair->members_count; i++) {
        if (!sync_pair_contains(newest, pair->members[i])) {
            return false;
        }
    }
    return pair->members_count > 0 && pair->members_count < newest->members_count;
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
                       "the primary of shard '%s' is in office at epoch %" PRIu64,
                       shard->name,
                       shard->primary_epoch.value);
        return false;
    }
    if (shard->primary.value == 0 || shard_view_in_failover(view)) {
        handler_refuse(handler,
                       ERR_PRECONDITION,
                       "shard '%s' has no primary now, or is being failed over",
                       shard->name);
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
    if (!handler_required_is_lawful(handler, &view->shard, pair)) {
        return false;
    }
    const struct sync_pair *now = &view->shard.sync.pairs[view->shard.sync.pairs_count - 1];
    for (uint32_t i = 0; i < pair->members_count; i++) {
        const struct instance *instance = shard_view_instance(view, pair->members[i].instance);
        bool is_primary = pair->members[i].instance.value == view->shard.primary.value;
        /* A data folder that is gone may stay named until it is taken out, but cannot be added. */
        bool current =
            instance != NULL && instance->incarnation.value == pair->members[i].incarnation.value;
        if (instance == NULL || is_primary ||
            (!current && !sync_pair_contains(now, pair->members[i]))) {
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
