/* SPDX-License-Identifier: Apache-2.0 */
/* The replicated step machine of a failover: excluded, completed, promoted, opened. How one begins
 * is failover_begin.c, the decision failover_decide.c. Every order is re-validated here, at apply,
 * against the rules of safety.md: the deciders propose, this file has the last word. Order of steps
 * and what each checks: the table of docs/failover.md. */
#include "base/check.h"
#include "state/failover_check.h"
#include "state/handler.h"

#include <inttypes.h>
#include <string.h>

static bool clock_is_allowed(struct handler *handler, const struct shard_view *view);

void failover_record_excluded(struct handler *handler)
{
    const struct command_failover *body = &handler->command->failover;
    struct shard_view view;
    if (!failover_load(handler, FAILOVER_EXCLUDE, &view)) {
        return;
    }
    switch (body->proof) {
    case PROOF_QUORUM:
        if (!failover_reports_are_valid(handler, &view)) {
            return;
        }
        if (view.shard.mode != SHARD_SYNC || !failover_reports_are_quorum(handler, &view)) {
            handler_refuse(handler,
                           ERR_PRECONDITION,
                           "exclusion by quorum: R + W > |S| does not hold in every recorded pair");
            return;
        }
        break;
    case PROOF_CLOCK:
        if (!clock_is_allowed(handler, &view)) {
            return;
        }
        break;
    case PROOF_FENCE:
        if (body->evidence[0] == '\0') {
            handler_refuse(handler, ERR_INVALID, "exclusion by fence: say who reported the fence");
            return;
        }
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
    CHECK(view.shard.lease != LEASE_OPEN);
    view.failover.proof = body->proof;
    failover_advance(handler, &view, FAILOVER_COMPLETE);
}

/* A host's clock may stand still with its database: sync shards never rest on it alone. And members
 * left behind by a forced recovery, if they still run, may go on renewing the lease. */
static bool clock_is_allowed(struct handler *handler, const struct shard_view *view)
{
    if (view->shard.mode != SHARD_ASYNC) {
        handler_refuse(handler, ERR_PRECONDITION, "exclusion by clock: async shards only");
        return false;
    }
    struct world_cluster cluster;
    world_cluster_get(handler->change->tables, &cluster);
    if (cluster.unconfirmed) {
        handler_refuse(handler,
                       ERR_PRECONDITION,
                       "exclusion by clock: the coordinators were recovered by force, and the ones "
                       "left behind may still renew the lease: see that they are off, then "
                       "`indaba cluster confirm-recovery`");
        return false;
    }
    return true;
}

void failover_record_completed(struct handler *handler)
{
    const struct command_failover *body = &handler->command->failover;
    struct shard_view view;
    if (!failover_load(handler, FAILOVER_COMPLETE, &view)) {
        return;
    }
    CHECK(view.failover.proof != PROOF_NONE);
    failover_take_marks(handler, &view, &body->marks);
    if (!view.failover.in_place) {
        bool quorum = failover_reports_are_quorum(handler, &view);
        if (view.shard.mode == SHARD_SYNC && !quorum) {
            handler_refuse(handler,
                           ERR_PRECONDITION,
                           "completeness: R + W > |S| final positions are not there in every "
                           "recorded pair");
            return;
        }
        bool own = body->own.instance.value != 0;
        if (body->reports_count == 0 && !own) {
            handler_refuse(handler, ERR_PRECONDITION, "completeness: nobody reported a position");
            return;
        }
        if (!failover_reports_are_valid(handler, &view) ||
            (own && !failover_own_is_valid(handler, &view))) {
            return;
        }
        if (!failover_own_may_lead(&view, &body->own, body->reports, body->reports_count) &&
            !final_reports_have_leader(&view, body->reports, body->reports_count)) {
            handler_refuse(handler,
                           ERR_PRECONDITION,
                           "completeness: nobody of those who reported may become primary of shard "
                           "'%s': more must report",
                           view.shard.name);
            return;
        }
        view.failover.own = body->own;
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
    /* What the candidate was chosen for is in the new history: it left the old one not before the
     * position that it reported. */
    struct position left = {.timeline = body->fork.parent_timeline, .lsn = body->fork.fork_lsn};
    struct position own_floor = failover_own_floor(&view.failover);
    bool older = view.failover.in_place && position_compare(left, own_floor) < 0;
    if (older || left.lsn < shard->floor.lsn || position_compare(left, shard->floor) < 0 ||
        left.timeline >= body->fork.timeline) {
        char text[POSITION_TEXT_SIZE];
        char floor[POSITION_TEXT_SIZE];
        handler_refuse(handler,
                       ERR_PRECONDITION,
                       "timeline %" PRIu32 " of shard '%s' leaves the history at %s, below the "
                       "floor %s or not before itself",
                       body->fork.timeline,
                       shard->name,
                       position_format(left, text),
                       position_format(older ? own_floor : shard->floor, floor));
        return;
    }
    const struct instance *primary = shard_view_instance(&view, shard->primary);
    CHECK(primary != NULL);
    if (primary->incarnation.value == 0) {
        handler_refuse(handler,
                       ERR_PRECONDITION,
                       "'%s' was promoted, but its data folder is not registered yet",
                       primary->name);
        return;
    }
    bool named = shard->system_identifier != 0;
    if (body->system_identifier == 0 ||
        (named && body->system_identifier != shard->system_identifier)) {
        handler_refuse(handler,
                       ERR_PRECONDITION,
                       "system identifier %" PRIu64 " is not that of shard '%s' (%" PRIu64 ")",
                       body->system_identifier,
                       shard->name,
                       shard->system_identifier);
        return;
    }
    shard->system_identifier = body->system_identifier;
    shard->primary_nonce = body->start_nonce;
    if (shard->primary_incarnation.value == 0) {
        shard->primary_incarnation = primary->incarnation; /* the folder that initdb made */
    }
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
    for (uint32_t i = 0; i < view.instances_count; i++) {
        struct instance *instance = &view.instances[i];
        instance->promotions_failed = 0;
        if (instance->id.value == view.failover.candidate.value) {
            instance->promotion_trouble[0] = '\0';
        }
    }
    if (view.shard.mode == SHARD_ASYNC) {
        view.failover.confirmed_wall_ms = handler->change->wall_ms; /* nobody else is asked */
    }
    failover_advance(handler, &view, FAILOVER_DONE);
}

/* A mark, not a step: opening a shard must not wait for a standby that may never come (a bootstrap,
 * a last survivor), since standbys join only once it is open. */
void failover_record_confirmed(struct handler *handler)
{
    struct shard_view view;
    if (!failover_load(handler, FAILOVER_DONE, &view)) {
        return;
    }
    if (view.failover.confirmed_wall_ms != 0) {
        handler_refuse(handler,
                       ERR_PRECONDITION,
                       "failover %" PRIu64 " of shard '%s' is confirmed already",
                       view.failover.id,
                       view.shard.name);
        return;
    }
    view.failover.confirmed_wall_ms = handler->change->wall_ms;
    world_shard_put(handler->change, &view);
    handler->changed = view.shard.id;
    handler->result->id = view.failover.id;
}
