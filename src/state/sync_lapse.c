/* SPDX-License-Identifier: Apache-2.0 */
/* Lapses (safety.md 3): somebody changed what makes commits wait for standbys. The sidecars put it
 * back; that it happened, and until when writes could be lost by it, is on record. */
#include "base/check.h"
#include "state/handler.h"

#include <inttypes.h>
#include <string.h>

static bool load(struct handler *handler, struct shard_view *view);

void sync_lapse_begin(struct handler *handler)
{
    const struct command_sync *body = &handler->command->sync;
    struct shard_view view;

    if (!load(handler, &view)) {
        return;
    }
    if (body->reason[0] == '\0') {
        handler_refuse(handler, ERR_INVALID, "a lapse without a word of what it was");
        return;
    }
    if (view.shard.lapse[0] != '\0') {
        handler_refuse(handler, ERR_EXISTS, "a lapse of shard '%s' is on record", view.shard.name);
        return;
    }
    memcpy(view.shard.lapse, body->reason, sizeof(view.shard.lapse));
    view.shard.lapse_wall_ms = handler->change->wall_ms;
    world_shard_put(handler->change, &view);
    handler->changed = view.shard.id;
}

void sync_lapse_end(struct handler *handler)
{
    struct shard_view view;

    if (!load(handler, &view)) {
        return;
    }
    if (view.shard.lapse[0] == '\0') {
        handler_refuse(
            handler, ERR_PRECONDITION, "no lapse of shard '%s' is on record", view.shard.name);
        return;
    }
    view.shard.lapse[0] = '\0';
    world_shard_put(handler->change, &view);
    handler->changed = view.shard.id;
}

static bool load(struct handler *handler, struct shard_view *view)
{
    const struct command_sync *body = &handler->command->sync;

    if (!handler_load_shard(handler, body->shard, view)) {
        return false;
    }
    if (view->shard.mode != SHARD_SYNC || view->shard.primary.value == 0) {
        handler_refuse(handler,
                       ERR_PRECONDITION,
                       "shard '%s' is asynchronous, or has no primary yet",
                       view->shard.name);
        return false;
    }
    if (body->epoch.value != view->shard.primary_epoch.value) {
        handler_refuse(handler,
                       ERR_STALE_EPOCH,
                       "the primary of shard '%s' is in office at epoch %" PRIu64,
                       view->shard.name,
                       view->shard.primary_epoch.value);
        return false;
    }
    return true;
}
