/* SPDX-License-Identifier: Apache-2.0 */
/* The replicated step machine of a failover: begin, excluded, completed, promoted, opened; the
 * decision itself is failover_decide.c. Every order is re-validated here, at apply, against the
 * rules of safety.md: the deciders propose, this file has the last word. Order of steps and what
 * each checks: the table of docs/failover.md. */
#include "base/check.h"
#include "state/failover_check.h"
#include "state/handler.h"

#include <inttypes.h>
#include <stdio.h>
#include <string.h>

static bool begin_is_allowed(struct handler *handler, const struct shard_view *view);
static void abort_unfinished(struct handler *handler, struct shard_view *view);
static void begin_record(struct handler *handler, struct shard_view *view, uint64_t id);

void failover_record_begin(struct handler *handler)
{
    const struct command_failover *body = &handler->command->failover;
    struct shard_view view;
    if (!handler_load_shard(handler, body->shard, &view) || !begin_is_allowed(handler, &view)) {
        return;
    }
    struct world_cluster cluster;
    world_cluster_get(handler->change->tables, &cluster);
    abort_unfinished(handler, &view);
    view.shard.epoch = body->epoch;
    view.shard.opened = false;
    if (view.shard.lease == LEASE_OPEN) {
        view.shard.lease = LEASE_CLOSED;
    }
    begin_record(handler, &view, ++cluster.failovers_count);
    world_cluster_put(handler->change, &cluster);
    world_shard_put(handler->change, &view);
    handler->changed = view.shard.id;
    handler->result->id = view.failover.id;
}

void failover_record_excluded(struct handler *handler)
{
    const struct command_failover *body = &handler->command->failover;
    struct shard_view view;
    if (!failover_load(handler, FAILOVER_EXCLUDE, &view)) {
        return;
    }
    switch (body->proof) {
    case PROOF_QUORUM:
        if (view.shard.mode != SHARD_SYNC || !failover_reports_are_quorum(handler, &view)) {
            handler_refuse(handler,
                           ERR_PRECONDITION,
                           "exclusion by quorum: R + W > |S| does not hold in every recorded pair");
            return;
        }
        break;
    case PROOF_CLOCK:
        /* A host's clock may stand still with its database: sync shards never rest on it alone. */
        if (view.shard.mode != SHARD_ASYNC) {
            handler_refuse(handler, ERR_PRECONDITION, "exclusion by clock: async shards only");
            return;
        }
        break;
    case PROOF_FENCE:
        break;
    case PROOF_NONE:
    case EXCLUSION_PROOF_COUNT:
        handler_refuse(handler, ERR_INVALID, "exclusion without a proof");
        return;
    }
    if (view.failover.in_place && body->proof != PROOF_FENCE) {
        handler_refuse(handler, ERR_PRECONDITION, "a restart in place needs the proof by fence");
        return;
    }
    view.failover.proof = body->proof;
    failover_advance(handler, &view, FAILOVER_COMPLETE);
}

void failover_record_completed(struct handler *handler)
{
    const struct command_failover *body = &handler->command->failover;
    struct shard_view view;
    if (!failover_load(handler, FAILOVER_COMPLETE, &view)) {
        return;
    }
    if (!view.failover.in_place) {
        bool quorum = failover_reports_are_quorum(handler, &view);
        if (view.shard.mode == SHARD_SYNC && !quorum) {
            handler_refuse(handler,
                           ERR_PRECONDITION,
                           "completeness: R + W > |S| final positions are not there in every "
                           "recorded pair");
            return;
        }
        if (body->reports_count == 0) {
            handler_refuse(handler, ERR_PRECONDITION, "completeness: nobody reported a position");
            return;
        }
        if (!failover_reports_are_valid(handler, &view)) {
            return;
        }
        memcpy(view.failover.reports, body->reports, sizeof(body->reports));
        view.failover.reports_count = body->reports_count;
    }
    failover_advance(handler, &view, FAILOVER_DECIDE);
}

void failover_record_promoted(struct handler *handler)
{
    const struct command_failover *body = &handler->command->failover;
    struct shard_view view;
    if (!failover_load(handler, FAILOVER_PROMOTE, &view)) {
        return;
    }
    struct shard *shard = &view.shard;
    if (body->fork.epoch != shard->epoch.value || body->fork.timeline != view.failover.timeline) {
        handler_refuse(handler,
                       ERR_PRECONDITION,
                       "timeline %" PRIu32 " was reserved for epoch %" PRIu64
                       ", not timeline %" PRIu32 " for epoch %" PRIu64,
                       view.failover.timeline,
                       shard->epoch.value,
                       body->fork.timeline,
                       body->fork.epoch);
        return;
    }
    if (body->fork.fork_lsn < shard->floor.lsn) {
        handler_refuse(handler,
                       ERR_PRECONDITION,
                       "it forked at %" PRIX64 ", below the floor %" PRIX64,
                       body->fork.fork_lsn,
                       shard->floor.lsn);
        return;
    }
    bool named = shard->system_identifier != 0;
    if (body->system_identifier == 0 ||
        (named && body->system_identifier != shard->system_identifier)) {
        handler_refuse(handler, ERR_PRECONDITION, "it is not the database of this shard");
        return;
    }
    shard->system_identifier = body->system_identifier;
    if (shard->forks_count == SHARD_FORKS_MAX) {
        memmove(shard->forks, shard->forks + 1, sizeof(shard->forks[0]) * (SHARD_FORKS_MAX - 1));
        shard->forks_count--;
    }
    shard->forks[shard->forks_count++] = body->fork;
    shard->floor = (struct position){body->fork.timeline, body->fork.fork_lsn};
    failover_advance(handler, &view, FAILOVER_OPEN);
}

void failover_record_opened(struct handler *handler)
{
    struct shard_view view;
    if (!failover_load(handler, FAILOVER_OPEN, &view)) {
        return;
    }
    view.shard.opened = true;
    failover_advance(handler, &view, FAILOVER_DONE);
}

static bool begin_is_allowed(struct handler *handler, const struct shard_view *view)
{
    const struct command_failover *body = &handler->command->failover;
    const struct shard *shard = &view->shard;
    if (body->epoch.value != shard->epoch.value + 1) {
        handler_refuse(handler,
                       ERR_STALE_EPOCH,
                       "the next epoch of shard '%s' is %" PRIu64 ", not %" PRIu64,
                       shard->name,
                       shard->epoch.value + 1,
                       body->epoch.value);
        return false;
    }
    if (body->cause == CAUSE_NONE) {
        handler_refuse(handler, ERR_INVALID, "a failover has a cause");
        return false;
    }
    if (shard->frozen && body->cause != CAUSE_OPERATOR) {
        handler_refuse(handler, ERR_PRECONDITION, "shard '%s' is frozen", shard->name);
        return false;
    }
    bool bootstrap = body->cause == CAUSE_BOOTSTRAP;
    if (bootstrap != (shard->primary.value == 0)) {
        handler_refuse(handler,
                       ERR_PRECONDITION,
                       bootstrap ? "shard '%s' has had a primary; it is not made anew"
                                 : "shard '%s' has no primary yet",
                       shard->name);
        return false;
    }
    if (bootstrap && view->failover.id != 0 && view->failover.step != FAILOVER_DECIDE) {
        handler_refuse(handler, ERR_PRECONDITION, "the bootstrap has gone further already");
        return false;
    }
    return true;
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
}

static void begin_record(struct handler *handler, struct shard_view *view, uint64_t id)
{
    const struct command_failover *body = &handler->command->failover;
    struct failover *failover = &view->failover;
    memset(failover, 0, sizeof(*failover));
    failover->id = id;
    failover->shard = view->shard.id;
    failover->epoch = body->epoch;
    failover->cause = body->cause;
    failover->in_place = body->in_place;
    failover->old_primary = view->shard.primary;
    failover->old_epoch = view->shard.primary_epoch;
    failover->acked_floor = body->acked_floor;
    failover->detected_wall_ms = body->detected_wall_ms;
    memcpy(failover->evidence, body->evidence, sizeof(failover->evidence));
    memcpy(failover->reason, body->reason, sizeof(failover->reason));
    bool bootstrap = body->cause == CAUSE_BOOTSTRAP;
    failover->step = bootstrap ? FAILOVER_DECIDE : FAILOVER_EXCLUDE;
    failover->step_wall_ms[failover->step] = handler->change->wall_ms;
}
