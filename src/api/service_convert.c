/* SPDX-License-Identifier: Apache-2.0 */
/* See service_convert.h. Here: regions, members, positions, failovers; shards with their live
 * figures are in service_convert_shard.c. */
#include "api/service_convert.h"

#include "base/check.h"
#include "decide/explain.h"

#include <inttypes.h>
#include <string.h>

static Indaba__V1__FinalReport **convert_reports(struct service_call *call,
                                                 const struct shard_view *view,
                                                 const struct failover *failover);
static void
convert_steps(struct service_call *call, const struct failover *failover, Indaba__V1__Failover *to);

const char *convert_region_state(enum region_state state)
{
    switch (state) {
    case REGION_ACTIVE:
        return "active";
    case REGION_DRAINING:
        return "draining";
    case REGION_MAINTENANCE:
        return "maintenance";
    }
    return "unknown";
}

enum error convert_parse_region_state(struct service_call *call,
                                      const char *text,
                                      enum region_state *state_out)
{
    static const enum region_state states[] = {REGION_ACTIVE, REGION_DRAINING, REGION_MAINTENANCE};

    if (text[0] == '\0') {
        *state_out = REGION_ACTIVE;
        return ERR_OK;
    }
    for (size_t i = 0; i < ARRAY_LEN(states); i++) {
        if (strcmp(convert_region_state(states[i]), text) == 0) {
            *state_out = states[i];
            return ERR_OK;
        }
    }
    return service_fail(call,
                        ERR_INVALID,
                        "region.state: \"%.64s\" is none of active, draining, maintenance",
                        text);
}

Indaba__V1__Region *convert_region(struct service_call *call, const struct region *region)
{
    Indaba__V1__Region *to = wire_new(&call->arena, sizeof(*to));
    indaba__v1__region__init(to);
    to->name = service_text(call, region->name);
    to->jurisdiction = service_text(call, region->jurisdiction);
    to->rank = region->rank;
    to->state = wire_string(convert_region_state(region->state));
    return to;
}

Indaba__V1__Member *convert_member(struct service_call *call, const struct member *member)
{
    char id[ID128_TEXT_SIZE];
    Indaba__V1__Member *to = wire_new(&call->arena, sizeof(*to));
    indaba__v1__member__init(to);
    to->id = service_text(call, id128_format(member->id.hi, member->id.lo, id));
    to->name = service_text(call, member->name);
    to->region = service_text(call, member->region);
    to->peer_address = service_text(call, member->peer_address);
    to->api_address = service_text(call, member->api_address);
    to->ops_address = service_text(call, member->ops_address);
    to->standing = wire_string(member_standing_name(member->standing));
    to->command_level = member->level;
    return to;
}

Indaba__V1__Position *convert_position(struct service_call *call, struct position position)
{
    char text[POSITION_TEXT_SIZE];
    Indaba__V1__Position *to = wire_new(&call->arena, sizeof(*to));
    indaba__v1__position__init(to);
    to->timeline = position.timeline;
    to->lsn = position.lsn;
    to->text = service_text(call, position_format(position, text));
    return to;
}

Indaba__V1__Failover *convert_failover(struct service_call *call,
                                       const struct shard_view *view,
                                       const struct failover *failover)
{
    Indaba__V1__Failover *to = wire_new(&call->arena, sizeof(*to));
    indaba__v1__failover__init(to);
    to->id = failover->id;
    to->shard = service_text(call, view->shard.name);
    to->epoch = failover->epoch.value;
    to->step = wire_string(failover_step_name(failover->step));
    to->cause = wire_string(failover_cause_name(failover->cause));
    to->proof = wire_string(exclusion_proof_name(failover->proof));
    to->in_place = failover->in_place;
    if (failover->old_primary.value != 0) {
        to->old_primary = service_text(call, explain_instance(view, failover->old_primary));
    }
    if (failover->candidate.value != 0) {
        to->candidate = service_text(call, explain_instance(view, failover->candidate));
    }
    to->timeline = failover->timeline;
    to->reports = convert_reports(call, view, failover);
    to->n_reports = failover->reports_count;
    to->loss_bound_bytes = failover->loss_bound_bytes;
    to->evidence = service_text(call, failover->evidence);
    to->reason = service_text(call, failover->reason);
    to->could_lose = service_text(call, failover->could_lose);
    to->detected_wall_ms = failover->detected_wall_ms;
    to->confirmed_wall_ms = failover->confirmed_wall_ms;
    convert_steps(call, failover, to);
    bool under_way = failover->id == view->failover.id && shard_view_in_failover(view);
    if (under_way && !call->stale) {
        char waiting[TEXT_SIZE] = "";
        controller_waiting(node_controller(call->node), view->shard.id, waiting);
        to->waiting = service_text(call, waiting);
    }
    return to;
}

static Indaba__V1__FinalReport **convert_reports(struct service_call *call,
                                                 const struct shard_view *view,
                                                 const struct failover *failover)
{
    void **messages =
        wire_new_messages(&call->arena, failover->reports_count, sizeof(Indaba__V1__FinalReport));
    for (uint32_t i = 0; i < failover->reports_count; i++) {
        const struct final_report *report = &failover->reports[i];
        Indaba__V1__FinalReport *to = messages[i];
        indaba__v1__final_report__init(to);
        to->instance = service_text(call, explain_instance(view, report->instance));
        to->incarnation = service_printf(call, "%016" PRIx64, report->incarnation.value);
        to->position = convert_position(call, report->position);
        to->replay_lag_bytes = report->replay_lag_bytes;
    }
    return (Indaba__V1__FinalReport **)(void *)messages;
}

/* The steps that were reached, in their order. */
static void
convert_steps(struct service_call *call, const struct failover *failover, Indaba__V1__Failover *to)
{
    void **messages =
        wire_new_messages(&call->arena, FAILOVER_STEP_COUNT, sizeof(Indaba__V1__StepTime));
    size_t count = 0;
    for (int step = FAILOVER_NONE; step < FAILOVER_STEP_COUNT; step++) {
        if (failover->step_wall_ms[step] == 0) {
            continue;
        }
        Indaba__V1__StepTime *time = messages[count++];
        indaba__v1__step_time__init(time);
        time->step = wire_string(failover_step_name((enum failover_step)step));
        time->wall_ms = failover->step_wall_ms[step];
    }
    to->steps = (Indaba__V1__StepTime **)(void *)messages;
    to->n_steps = count;
}
