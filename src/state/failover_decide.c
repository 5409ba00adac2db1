/* SPDX-License-Identifier: Apache-2.0 */
/* The decision: who becomes primary at this epoch. From its commit on the candidate counts as a
 * primary, whether it ever reports or not (safety.md 2). Checked here: lawful region, completeness,
 * floors, and the new sync pair, which names only members that reported and are cut. */
#include "base/check.h"
#include "state/failover_check.h"
#include "state/handler.h"

#include <inttypes.h>
#include <string.h>

static bool candidate_is_lawful(struct handler *handler, const struct shard_view *view);
static bool candidate_is_complete(struct handler *handler,
                                  const struct shard_view *view,
                                  struct position *position_out);
static const struct final_report *find_report(const struct failover *failover,
                                              struct instance_id instance);
static bool pair_is_from_reports(struct handler *handler, const struct shard_view *view);
static void take_office(struct handler *handler, struct shard_view *view);
static void leave_branch(struct shard_view *view);

void failover_record_decided(struct handler *handler)
{
    const struct command_failover *body = &handler->command->failover;
    struct shard_view view;
    if (!failover_load(handler, FAILOVER_DECIDE, &view) || !candidate_is_lawful(handler, &view)) {
        return;
    }
    if (failover_timelines_given(handler, &view) == UINT32_MAX) {
        handler_refuse(handler, ERR_LIMIT, "shard '%s' has no timeline left", view.shard.name);
        return;
    }
    CHECK(view.shard.lease != LEASE_OPEN);
    bool bootstrap = view.failover.cause == CAUSE_BOOTSTRAP;
    bool keeps_record = bootstrap || view.failover.in_place;
    struct position position = view.shard.floor;
    bool is_old = body->candidate.value == view.failover.old_primary.value;
    if (is_old && !bootstrap && !failover_primary_keeps_folder(handler, &view)) {
        return;
    }
    if (!keeps_record && !candidate_is_complete(handler, &view, &position)) {
        return;
    }
    struct sync_record *sync = &view.shard.sync;
    if (view.shard.mode == SHARD_SYNC) {
        if (!keeps_record) {
            if (!pair_is_from_reports(handler, &view)) {
                return;
            }
            memset(sync->pairs, 0, sizeof(sync->pairs));
            sync->pairs[0] = body->pair;
            sync->pairs_count = 1;
        }
        /* In place: the pairs of a change under way stay; the change is confirmed afterwards. */
        sync->version++;
    }
    view.shard.floor = position;
    take_office(handler, &view);
}

static void take_office(struct handler *handler, struct shard_view *view)
{
    const struct command_failover *body = &handler->command->failover;
    struct shard *shard = &view->shard;
    const struct instance *candidate = shard_view_instance(view, body->candidate);
    CHECK(candidate != NULL);
    CHECK(view->failover.epoch.value == shard->epoch.value);
    uint32_t timelines = failover_timelines_given(handler, view);
    bool bootstrap = view->failover.cause == CAUSE_BOOTSTRAP;
    shard->primary_incarnation = bootstrap ? (struct incarnation){0} : candidate->incarnation;
    if (!view->failover.in_place) {
        shard->primary_nonce = 0; /* its guardian's start is noted when it is promoted */
    }
    shard->primary = body->candidate;
    shard->primary_epoch = view->failover.epoch;
    shard->lease = LEASE_OPEN;
    if (!bootstrap && body->candidate.value != view->failover.old_primary.value) {
        leave_branch(view);
    }
    if (!view->failover.in_place) {
        shard->lapse[0] = '\0'; /* the record of this failover tells it from now on */
    }
    shard->timeline_reserved = timelines + 1;
    view->failover.candidate = body->candidate;
    view->failover.timeline = shard->timeline_reserved;
    view->failover.loss_bound_bytes = body->loss_bound_bytes;
    memcpy(view->failover.reason, body->reason, sizeof(view->failover.reason));
    failover_advance(handler, view, FAILOVER_PROMOTE);
}

/* Another folder than the one in office was chosen. Timelines that a forced recovery forgot count
 * only if the chosen one is on them: whoever was in office there was asked by nobody, and may have
 * acknowledged what is still missed. */
static void leave_branch(struct shard_view *view)
{
    struct shard *shard = &view->shard;
    uint32_t known = shard->timeline_reserved;

    if (shard->floor.timeline > known) {
        known = shard->floor.timeline;
    }
    shard->branch_timeline = known + 1;
}

static bool candidate_is_lawful(struct handler *handler, const struct shard_view *view)
{
    const struct command_failover *body = &handler->command->failover;
    const struct instance *candidate = shard_view_instance(view, body->candidate);
    if (candidate == NULL) {
        handler_refuse(handler,
                       ERR_NOT_FOUND,
                       "shard '%s' has no instance %" PRIu32,
                       view->shard.name,
                       body->candidate.value);
        return false;
    }
    if (!shard_allows_region(&view->shard, candidate->region)) {
        handler_refuse(handler,
                       ERR_PRECONDITION,
                       "shard '%s' may not live in region '%s' of instance '%s'",
                       view->shard.name,
                       candidate->region,
                       candidate->name);
        return false;
    }
    bool is_old = body->candidate.value == view->failover.old_primary.value;
    bool bootstrap = view->failover.cause == CAUSE_BOOTSTRAP;
    bool returns = view->failover.witnessed && view->failover.own.instance.value != 0;
    if (!bootstrap && is_old != view->failover.in_place && !(is_old && returns)) {
        handler_refuse(handler,
                       ERR_PRECONDITION,
                       is_old ? "instance '%s' was fenced, and this is no restart in place"
                              : "a restart in place is of the old primary, not of '%s'",
                       candidate->name);
        return false;
    }
    return true;
}

static bool candidate_is_complete(struct handler *handler,
                                  const struct shard_view *view,
                                  struct position *position_out)
{
    const struct command_failover *body = &handler->command->failover;
    const struct failover *failover = &view->failover;
    bool returns = body->candidate.value == failover->old_primary.value;
    const struct final_report *own =
        returns ? &failover->own : find_report(failover, body->candidate);
    if (own == NULL) {
        handler_refuse(handler,
                       ERR_PRECONDITION,
                       "instance %" PRIu32 " has reported no final position",
                       body->candidate.value);
        return false;
    }
    const struct instance *candidate = shard_view_instance(view, body->candidate);
    CHECK(candidate != NULL);
    if (candidate->incarnation.value != own->incarnation.value) {
        handler_refuse(handler,
                       ERR_PRECONDITION,
                       "'%s' has another data folder than the one it reported on",
                       candidate->name);
        return false;
    }
    char text[POSITION_TEXT_SIZE];
    char other[POSITION_TEXT_SIZE];
    (void)position_format(own->position, text);
    /* Whoever is heard above refuses a folder that nobody saw to be the one it was. */
    bool highest = returns || view->shard.mode == SHARD_SYNC;
    for (uint32_t i = 0; highest && i < failover->reports_count; i++) {
        if (position_compare(failover->reports[i].position, own->position) > 0) {
            handler_refuse(handler,
                           ERR_PRECONDITION,
                           "instance %" PRIu32 " holds more (%s) than the candidate (%s)",
                           failover->reports[i].instance.value,
                           position_format(failover->reports[i].position, other),
                           text);
            return false;
        }
    }
    /* Async: what the old primary wrote since may be lost, within the bound; what the shard began
     * this office with may not. */
    struct position floor = view->shard.floor;
    if (view->shard.mode == SHARD_SYNC && position_compare(failover->acked_floor, floor) > 0) {
        floor = failover->acked_floor;
    }
    if (returns && position_compare(failover_own_floor(failover), floor) > 0) {
        floor = failover_own_floor(failover);
    }
    if (position_compare(own->position, floor) < 0) {
        handler_refuse(handler,
                       ERR_PRECONDITION,
                       "the candidate's position %s is below the floor %s",
                       text,
                       position_format(floor, other));
        return false;
    }
    *position_out = own->position;
    return true;
}

static const struct final_report *find_report(const struct failover *failover,
                                              struct instance_id instance)
{
    for (uint32_t i = 0; i < failover->reports_count; i++) {
        if (failover->reports[i].instance.value == instance.value) {
            return &failover->reports[i];
        }
    }
    return NULL;
}

static bool pair_is_from_reports(struct handler *handler, const struct shard_view *view)
{
    const struct command_failover *body = &handler->command->failover;
    struct sync_record probe = {.pairs = {body->pair}, .pairs_count = 1, .version = 1};
    if (sync_record_validate(&probe) != ERR_OK) {
        handler_refuse(handler, ERR_INVALID, "the new pair is out of order or asks for no copy");
        return false;
    }
    if (!handler_required_is_lawful(handler, &view->shard, &body->pair)) {
        return false;
    }
    for (uint32_t i = 0; i < body->pair.members_count; i++) {
        struct sync_member member = body->pair.members[i];
        const struct final_report *report = find_report(&view->failover, member.instance);
        bool named = report != NULL && report->incarnation.value == member.incarnation.value;
        if (!named || member.instance.value == body->candidate.value) {
            handler_refuse(handler,
                           ERR_PRECONDITION,
                           "instance %" PRIu32 " of the new pair has not reported, or is the "
                           "candidate",
                           member.instance.value);
            return false;
        }
    }
    return true;
}
