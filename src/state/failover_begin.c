/* SPDX-License-Identifier: Apache-2.0 */
/* How a failover begins: a new ballot, the old primary's lease closed, an unfinished earlier
 * attempt aborted. Beginning is the close of the lease, so it is refused whenever it could not be
 * meant. */
#include "base/check.h"
#include "state/failover_check.h"
#include "state/handler.h"

#include <inttypes.h>
#include <stdio.h>
#include <string.h>

static bool
begin_is_allowed(struct handler *handler, const struct shard_view *view, uint32_t cluster_epoch);
static bool
target_is_lawful(struct handler *handler, const struct shard_view *view, const char *name);
static bool cause_is_allowed(struct handler *handler, const struct shard_view *view);
static bool start_was_seen_to_end(struct handler *handler, const struct shard_view *view);
static bool floor_is_known(struct handler *handler, const struct shard_view *view);
static void abort_unfinished(struct handler *handler, struct shard_view *view);
static void remember_failure(struct handler *handler, struct shard_view *view);
static void begin_record(struct handler *handler, struct shard_view *view, uint64_t id);
static struct position acked_floor(const struct shard_view *view, struct position reported);
static void known_lapse(const struct shard_view *view, const char *told, char *text_out);

void failover_record_request(struct handler *handler)
{
    const struct command_failover_request *body = &handler->command->failover_request;
    struct shard_view view;
    if (!name_is_valid(body->shard) ||
        query_shard_by_name(handler->change->tables, body->shard, &view) != ERR_OK) {
        handler_refuse(handler,
                       ERR_NOT_FOUND,
                       "there is no shard '%s': `indaba shard ls` lists them",
                       body->shard);
        return;
    }
    if (view.shard.primary.value == 0 || shard_view_in_failover(&view)) {
        handler_refuse(handler,
                       ERR_PRECONDITION,
                       "shard '%s' has %s: wait until it is through",
                       body->shard,
                       view.shard.primary.value == 0 ? "no primary yet" : "a failover under way");
        return;
    }
    if (body->instance[0] != '\0' && !target_is_lawful(handler, &view, body->instance)) {
        return;
    }
    /* The leader takes it up as long as this is the shard's epoch: so a repeated request, whose
     * first answer was lost, starts no second failover. */
    handler->result->id = view.shard.epoch.value;
}

void failover_record_begin(struct handler *handler)
{
    const struct command_failover *body = &handler->command->failover;
    struct shard_view view;
    struct world_cluster cluster;
    world_cluster_get(handler->change->tables, &cluster);
    if (!handler_load_shard(handler, body->shard, &view) ||
        !begin_is_allowed(handler, &view, cluster.cluster_epoch)) {
        return;
    }
    abort_unfinished(handler, &view);
    begin_record(handler, &view, ++cluster.failovers_count);
    view.shard.epoch = body->epoch;
    view.shard.opened = false;
    if (view.shard.lease == LEASE_OPEN) {
        view.shard.lease = LEASE_CLOSED;
    }
    CHECK(view.shard.epoch.value > view.shard.primary_epoch.value);
    world_cluster_put(handler->change, &cluster);
    world_shard_put(handler->change, &view);
    handler->changed = view.shard.id;
    handler->result->id = view.failover.id;
}

static bool
target_is_lawful(struct handler *handler, const struct shard_view *view, const char *name)
{
    for (uint32_t i = 0; i < view->instances_count; i++) {
        const struct instance *instance = &view->instances[i];
        if (strcmp(instance->name, name) != 0) {
            continue;
        }
        if (instance->id.value == view->shard.primary.value ||
            !shard_allows_region(&view->shard, instance->region)) {
            handler_refuse(handler,
                           ERR_INVALID,
                           "instance '%s' %s: name a standby in an allowed region",
                           name,
                           instance->id.value == view->shard.primary.value
                               ? "is the primary already"
                               : "is in a region that the shard does not allow");
            return false;
        }
        return true;
    }
    handler_refuse(
        handler, ERR_NOT_FOUND, "shard '%s' has no instance '%s'", view->shard.name, name);
    return false;
}

static bool
begin_is_allowed(struct handler *handler, const struct shard_view *view, uint32_t cluster_epoch)
{
    const struct command_failover *body = &handler->command->failover;
    const struct shard *shard = &view->shard;
    struct epoch next = epoch_next(shard->epoch, cluster_epoch);
    if (shard->epoch.value == UINT64_MAX || body->epoch.value != next.value) {
        handler_refuse(handler,
                       ERR_STALE_EPOCH,
                       "the next epoch of shard '%s' is %" PRIu64 ", not %" PRIu64,
                       shard->name,
                       next.value,
                       body->epoch.value);
        return false;
    }
    if (!cause_is_allowed(handler, view) || !floor_is_known(handler, view)) {
        return false;
    }
    if (!body->in_place && !body->witnessed) {
        return true;
    }
    return failover_primary_keeps_folder(handler, view) &&
           (body->witnessed || start_was_seen_to_end(handler, view));
}

/* Whoever says that a folder is what it was must have been there from the start on record on. */
static bool start_was_seen_to_end(struct handler *handler, const struct shard_view *view)
{
    uint64_t nonce = handler->command->failover.start_nonce;
    uint64_t recorded = view->shard.primary_nonce;
    if (nonce != 0 && (recorded == 0 || recorded == nonce)) {
        return true;
    }
    handler_refuse(handler,
                   ERR_PRECONDITION,
                   "shard '%s': its primary cannot restart in place, since nobody saw the end of "
                   "the start %016" PRIx64 " under which it was promoted: final positions of the "
                   "others must show that it holds all",
                   view->shard.name,
                   recorded);
    return false;
}

static bool cause_is_allowed(struct handler *handler, const struct shard_view *view)
{
    const struct command_failover *body = &handler->command->failover;
    const struct shard *shard = &view->shard;
    bool bootstrap = body->cause == CAUSE_BOOTSTRAP;
    bool unfinished = shard_view_in_failover(view);
    if (body->cause == CAUSE_NONE || (unsigned)body->cause >= FAILOVER_CAUSE_COUNT) {
        handler_refuse(handler, ERR_INVALID, "a failover of shard '%s' needs a cause", shard->name);
        return false;
    }
    if (bootstrap != (shard->primary.value == 0)) {
        handler_refuse(handler,
                       ERR_PRECONDITION,
                       bootstrap ? "shard '%s' has had a primary; it is not made anew"
                                 : "shard '%s' has no primary yet: it can only be bootstrapped",
                       shard->name);
        return false;
    }
    if ((bootstrap || body->witnessed) && body->in_place) {
        handler_refuse(handler,
                       ERR_INVALID,
                       bootstrap ? "a bootstrap has nothing to restart in place"
                                 : "a restart in place asks no witnesses");
        return false;
    }
    if (bootstrap && body->witnessed) {
        handler_refuse(handler, ERR_INVALID, "a bootstrap has nobody to ask for witnesses");
        return false;
    }
    if (body->cause == CAUSE_STUCK && !unfinished) {
        handler_refuse(
            handler, ERR_PRECONDITION, "no failover of shard '%s' is under way", shard->name);
        return false;
    }
    /* Frozen: nothing starts by itself. What is under way may be finished: while it lasts the shard
     * has no primary that people could have meant to keep. */
    if (shard->frozen && !bootstrap && !unfinished && body->cause != CAUSE_OPERATOR) {
        handler_refuse(handler,
                       ERR_PRECONDITION,
                       "shard '%s' is frozen: thaw it, or ask for the failover yourself",
                       shard->name);
        return false;
    }
    return true;
}

static bool floor_is_known(struct handler *handler, const struct shard_view *view)
{
    struct position acked = handler->command->failover.acked_floor;
    uint32_t given = failover_timelines_given(handler, view);
    if (acked.timeline <= given) {
        return true;
    }
    handler_refuse(handler,
                   ERR_INVALID,
                   "the acknowledged position is on timeline %" PRIu32 ", but only timelines up to "
                   "%" PRIu32 " of shard '%s' were ever reserved",
                   acked.timeline,
                   given,
                   view->shard.name);
    return false;
}

/* A newer attempt replaces one that did not get through; its record stays, as aborted. */
static void abort_unfinished(struct handler *handler, struct shard_view *view)
{
    if (!shard_view_in_failover(view)) {
        return;
    }
    struct failover old = view->failover;
    old.step = FAILOVER_ABORTED;
    old.step_wall_ms[FAILOVER_ABORTED] = handler->change->wall_ms;
    (void)snprintf(old.reason,
                   sizeof(old.reason),
                   "stopped in step %s, replaced by epoch %" PRIu64 ": %.100s",
                   failover_step_name(view->failover.step),
                   handler->command->failover.epoch.value,
                   handler->command->failover.evidence);
    failover_store_aborted(handler->change, &old);
    remember_failure(handler, view);
}

/* Whoever was decided and did not open is tried again after the others, and less and less often
 * (decide/failover_retry.c). */
static void remember_failure(struct handler *handler, struct shard_view *view)
{
    const struct failover *failover = &view->failover;
    for (uint32_t i = 0; i < view->instances_count; i++) {
        struct instance *instance = &view->instances[i];
        bool decided = failover->step == FAILOVER_PROMOTE || failover->step == FAILOVER_OPEN;
        if (!decided || instance->id.value != failover->candidate.value) {
            continue;
        }
        if (instance->promotions_failed < UINT32_MAX) {
            instance->promotions_failed++;
        }
        (void)snprintf(instance->promotion_trouble,
                       sizeof(instance->promotion_trouble),
                       "epoch %" PRIu64 ": %.200s",
                       failover->epoch.value,
                       handler->command->failover.evidence);
    }
}

/* Takes the place of the record before; the shard still shows who was in office. */
static void begin_record(struct handler *handler, struct shard_view *view, uint64_t id)
{
    const struct command_failover *body = &handler->command->failover;
    struct position floor = acked_floor(view, body->acked_floor);
    struct failover *failover = &view->failover;
    struct marks marks = failover->marks; /* what was once held was once held */
    char could_lose[TEXT_SIZE];
    known_lapse(view, body->could_lose, could_lose);
    memset(failover, 0, sizeof(*failover));
    failover_take_marks(handler, view, &marks);
    failover_take_marks(handler, view, &body->marks);
    failover->witnessed = body->witnessed;
    failover->id = id;
    failover->shard = view->shard.id;
    failover->epoch = body->epoch;
    failover->cause = body->cause;
    failover->in_place = body->in_place;
    failover->in_place_row = body->in_place ? body->in_place_row : 0;
    failover->old_primary = view->shard.primary;
    failover->old_epoch = view->shard.primary_epoch;
    failover->acked_floor = floor;
    failover->detected_wall_ms = body->detected_wall_ms;
    memcpy(failover->could_lose, could_lose, sizeof(failover->could_lose));
    memcpy(failover->evidence, body->evidence, sizeof(failover->evidence));
    memcpy(failover->reason, body->reason, sizeof(failover->reason));
    bool bootstrap = body->cause == CAUSE_BOOTSTRAP;
    failover->step = bootstrap ? FAILOVER_DECIDE : FAILOVER_EXCLUDE;
    failover->step_wall_ms[failover->step] = handler->change->wall_ms;
}

/* What the old primary is known to have acknowledged never shrinks while it is being replaced: a
 * new leader may not have heard the report that an earlier attempt noted. A restart in place that
 * was not promoted has acknowledged nothing since, so its note still stands. */
static struct position acked_floor(const struct shard_view *view, struct position reported)
{
    const struct failover *last = &view->failover;
    bool same_office = last->old_primary.value == view->shard.primary.value &&
                       last->old_epoch.value == view->shard.primary_epoch.value;
    bool same_data = last->in_place && last->step == FAILOVER_PROMOTE &&
                     last->candidate.value == view->shard.primary.value;
    bool stands = last->id != 0 && (same_office || same_data);
    if (stands && position_compare(last->acked_floor, reported) > 0) {
        return last->acked_floor;
    }
    return shard_left_behind(&view->shard, reported) ? (struct position){0} : reported;
}

/* What is on record, else what an earlier attempt noted, else what the leader heard last. */
static void known_lapse(const struct shard_view *view, const char *told, char *text_out)
{
    const struct failover *last = &view->failover;
    bool same_office = last->id != 0 && last->old_primary.value == view->shard.primary.value &&
                       last->old_epoch.value == view->shard.primary_epoch.value;
    const char *text = view->shard.lapse[0] != '\0'                 ? view->shard.lapse
                       : same_office && last->could_lose[0] != '\0' ? last->could_lose
                                                                    : told;

    (void)snprintf(text_out, TEXT_SIZE, "%s", text);
}
