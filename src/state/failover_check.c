/* SPDX-License-Identifier: Apache-2.0 */
/* See state/failover_check.h. */
#include "state/failover_check.h"

#include "base/check.h"
#include "base/fsm.h"
#include "state/row.h"

#include <inttypes.h>

static const char *const STEP_NAMES[] = {
#define X(name, text) text,
    FAILOVER_STEP_TABLE(X)
#undef X
};

#define TO(step) (UINT32_C(1) << (step))

/* What follows what; a later attempt aborts any unfinished one (failover_record_begin). */
static const uint32_t ALLOWED[FAILOVER_STEP_COUNT] = {
    [FAILOVER_NONE] = TO(FAILOVER_EXCLUDE) | TO(FAILOVER_DECIDE),
    [FAILOVER_EXCLUDE] = TO(FAILOVER_COMPLETE) | TO(FAILOVER_ABORTED),
    [FAILOVER_COMPLETE] = TO(FAILOVER_DECIDE) | TO(FAILOVER_ABORTED),
    [FAILOVER_DECIDE] = TO(FAILOVER_PROMOTE) | TO(FAILOVER_ABORTED),
    [FAILOVER_PROMOTE] = TO(FAILOVER_OPEN) | TO(FAILOVER_ABORTED),
    [FAILOVER_OPEN] = TO(FAILOVER_DONE) | TO(FAILOVER_ABORTED),
};

static const struct fsm STEPS = {
    .name = "failover",
    .states_count = FAILOVER_STEP_COUNT,
    .state_names = STEP_NAMES,
    .allowed = ALLOWED,
};

bool failover_load(struct handler *handler, enum failover_step step, struct shard_view *view_out)
{
    const struct command_failover *body = &handler->command->failover;
    if (!handler_load_shard(handler, body->shard, view_out)) {
        return false;
    }
    if (view_out->failover.id == 0 || body->epoch.value != view_out->failover.epoch.value) {
        handler_refuse(handler,
                       ERR_STALE_EPOCH,
                       "shard '%s' is at epoch %" PRIu64 ", the order is for epoch %" PRIu64,
                       view_out->shard.name,
                       view_out->shard.epoch.value,
                       body->epoch.value);
        return false;
    }
    if (view_out->failover.step != step) {
        handler_refuse(handler,
                       ERR_PRECONDITION,
                       "failover %" PRIu64 " is in step %s, the order is for step %s",
                       view_out->failover.id,
                       failover_step_name(view_out->failover.step),
                       failover_step_name(step));
        return false;
    }
    return true;
}

bool failover_reports_are_quorum(const struct handler *handler, const struct shard_view *view)
{
    const struct command_failover *body = &handler->command->failover;
    struct sync_member reporters[SHARD_INSTANCES_MAX];
    CHECK(body->reports_count <= SHARD_INSTANCES_MAX);
    for (uint32_t i = 0; i < body->reports_count; i++) {
        reporters[i] = (struct sync_member){
            .instance = body->reports[i].instance,
            .incarnation = body->reports[i].incarnation,
        };
    }
    return sync_record_quorum(&view->shard.sync, reporters, body->reports_count);
}

bool failover_reports_are_valid(struct handler *handler, const struct shard_view *view)
{
    const struct command_failover *body = &handler->command->failover;
    for (uint32_t i = 0; i < body->reports_count; i++) {
        const struct final_report *report = &body->reports[i];
        const struct instance *instance = shard_view_instance(view, report->instance);
        bool known = instance != NULL && report->incarnation.value != 0 &&
                     instance->incarnation.value == report->incarnation.value;
        bool is_old = report->instance.value == view->failover.old_primary.value;
        bool twice = false;
        for (uint32_t k = 0; k < i; k++) {
            twice = twice || body->reports[k].instance.value == report->instance.value;
        }
        bool lost = report->position.timeline == 0 ||
                    report->position.timeline > failover_timelines_given(handler, view);
        struct sync_member folder = {report->instance, report->incarnation};
        bool older =
            position_compare(report->position, marks_of(&view->failover.marks, folder)) < 0;
        if (!known || is_old || twice || lost || older) {
            handler_refuse(handler,
                           ERR_INVALID,
                           "the report of instance %" PRIu32 " of shard '%s' does not count: %s",
                           report->instance.value,
                           view->shard.name,
                           !known   ? "no such instance, or another data folder by now"
                           : is_old ? "it is the primary that is being replaced"
                           : twice  ? "it is there twice"
                           : lost   ? "its timeline was never reserved"
                                    : "it holds less than it once acknowledged");
            return false;
        }
    }
    return true;
}

void failover_take_marks(struct handler *handler,
                         struct shard_view *view,
                         const struct marks *marks)
{
    uint32_t given = failover_timelines_given(handler, view);
    struct marks known = {0};
    if (marks->acked.timeline <= given) {
        known.acked = marks->acked;
    }
    for (uint32_t i = 0; i < view->instances_count; i++) {
        struct sync_member folder = {view->instances[i].id, view->instances[i].incarnation};
        struct position position = marks_of(marks, folder);
        if (position.timeline <= given) {
            marks_raise(&known, folder, position);
        }
    }
    shard_forget_left_behind(&view->shard, &known);
    marks_merge(&view->failover.marks, &known);
}

bool failover_own_is_valid(struct handler *handler, const struct shard_view *view)
{
    const struct final_report *own = &handler->command->failover.own;
    const struct failover *failover = &view->failover;
    const struct instance *instance = shard_view_instance(view, failover->old_primary);
    bool known = failover->witnessed && instance != NULL &&
                 own->instance.value == failover->old_primary.value &&
                 own->incarnation.value == instance->incarnation.value;
    bool lost = own->position.timeline == 0 ||
                own->position.timeline > failover_timelines_given(handler, view);
    if (!known || lost || position_compare(own->position, failover_own_floor(failover)) < 0) {
        handler_refuse(handler,
                       ERR_INVALID,
                       "the old primary's own position does not count: %s",
                       !known ? "it was not asked for, or is of another data folder"
                       : lost ? "its timeline was never reserved"
                              : "its folder is an older one than was once there");
        return false;
    }
    return failover_primary_keeps_folder(handler, view);
}

uint32_t failover_timelines_given(const struct handler *handler, const struct shard_view *view)
{
    struct world_cluster cluster;
    world_cluster_get(handler->change->tables, &cluster);
    return shard_timelines_given(&view->shard, cluster.cluster_epoch);
}

bool failover_primary_keeps_folder(struct handler *handler, const struct shard_view *view)
{
    const struct shard *shard = &view->shard;
    const struct instance *primary = shard_view_instance(view, shard->primary);
    CHECK(primary != NULL);
    if (shard->primary_incarnation.value == 0 ||
        shard->primary_incarnation.value == primary->incarnation.value) {
        return true;
    }
    handler_refuse(handler,
                   ERR_PRECONDITION,
                   "'%s' cannot restart in place: its data folder is not the one that it took "
                   "office with; let a standby take over",
                   primary->name);
    return false;
}

void failover_advance(struct handler *handler, struct shard_view *view, enum failover_step step)
{
    int state = (int)view->failover.step;
    fsm_move(&STEPS, &state, (int)step);
    view->failover.step = step;
    view->failover.step_wall_ms[step] = handler->change->wall_ms;
    world_shard_put(handler->change, view);
    handler->changed = view->shard.id;
    handler->result->id = view->failover.id;
}

void failover_store_aborted(struct change *change, const struct failover *failover)
{
    CHECK(failover->step == FAILOVER_ABORTED);
    struct state_key key = key_u64(failover->id);
    struct buf value = {0};
    row_put_failover(&value, failover);
    change_put(change, TABLE_FAILOVER, key_view(&key), &value);
    buf_deinit(&value);
}
