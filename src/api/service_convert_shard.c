/* SPDX-License-Identifier: Apache-2.0 */
/* Shards as messages: the replicated record, what the leader heard of each instance, and in words
 * what does not hold. */
#include "api/service_convert.h"

#include "base/check.h"
#include "base/clock.h"
#include "decide/explain.h"
#include "decide/observation.h"
#include "model/shard_kind.h"

#include <inttypes.h>
#include <string.h>

enum {
    CAN_LOSE_MAX = 5
};

/* What one conversion knows. */
struct shard_live {
    const struct shard_view *view;
    bool leader; /* live figures are at hand */
    struct controller_instance instances[SHARD_INSTANCES_MAX];
    struct position primary_position;
};

static void look_at_live(struct service_call *call, struct shard_live *live);
static void put_sync(struct service_call *call, const struct shard *shard, Indaba__V1__Shard *to);
static void
put_instances(struct service_call *call, const struct shard_live *live, Indaba__V1__Shard *to);
static void put_instance(struct service_call *call,
                         const struct shard_live *live,
                         uint32_t number,
                         Indaba__V1__Instance *to);
static void put_report(struct service_call *call,
                       const struct shard_live *live,
                       uint32_t number,
                       Indaba__V1__Instance *to);
static bool is_heard_now(const struct controller_instance *heard);
static char *
writes_wait(struct service_call *call, const struct shard_live *live, const struct sync_pair *pair);
static bool is_gated(const struct shard_live *live);
static void
put_can_lose(struct service_call *call, const struct shard_live *live, Indaba__V1__Shard *to);

const char *convert_shard_mode(enum shard_mode mode)
{
    switch (mode) {
    case SHARD_SYNC:
        return "sync";
    case SHARD_ASYNC:
        return "async";
    }
    return "unknown";
}

const char *convert_lease_state(enum lease_state state)
{
    switch (state) {
    case LEASE_NONE:
        return "none";
    case LEASE_OPEN:
        return "open";
    case LEASE_CLOSED:
        return "closed";
    }
    return "unknown";
}

Indaba__V1__Shard **convert_shards(struct service_call *call)
{
    if (call->views_count == 0) {
        return NULL;
    }
    Indaba__V1__Shard **shards =
        wire_new(&call->arena, call->views_count * sizeof(Indaba__V1__Shard *));
    for (uint32_t i = 0; i < call->views_count; i++) {
        shards[i] = convert_shard(call, &call->views[i]);
    }
    return shards;
}

Indaba__V1__Shard *convert_shard(struct service_call *call, const struct shard_view *view)
{
    const struct shard *shard = &view->shard;
    struct shard_live live = {.view = view};
    look_at_live(call, &live);
    Indaba__V1__Shard *to = wire_new(&call->arena, sizeof(*to));
    indaba__v1__shard__init(to);
    to->name = service_text(call, shard->name);
    to->kind = wire_string(shard_kind_name(shard->kind));
    to->mode = wire_string(convert_shard_mode(shard->mode));
    to->rto_ms = shard->rto_ms;
    to->rpo_ms = shard->rpo_ms;
    to->sync_required = shard->sync_required;
    to->preferred_region = service_text(call, shard->preferred_region);
    to->n_allowed_regions = shard->allowed_regions_count;
    to->allowed_regions = wire_new(&call->arena, (REGIONS_MAX + 1) * sizeof(char *));
    for (uint32_t i = 0; i < shard->allowed_regions_count; i++) {
        to->allowed_regions[i] = service_text(call, shard->allowed_regions[i]);
    }
    to->frozen = shard->frozen;
    to->epoch = shard->epoch.value;
    if (shard->primary.value != 0) {
        to->primary = service_text(call, explain_instance(view, shard->primary));
    }
    to->primary_epoch = shard->primary_epoch.value;
    to->lease = wire_string(convert_lease_state(shard->lease));
    to->opened = shard->opened;
    to->floor = convert_position(call, shard->floor);
    to->timeline = shard->forks_count == 0 ? 0 : shard->forks[shard->forks_count - 1].timeline;
    put_sync(call, shard, to);
    put_instances(call, &live, to);
    if (view->failover.id != 0) {
        to->last_failover = convert_failover(call, view, &view->failover);
    }
    if (live.leader) {
        char waiting[TEXT_SIZE] = "";
        controller_waiting(node_controller(call->node), shard->id, waiting);
        to->waiting = service_text(call, waiting);
    }
    put_can_lose(call, &live, to);
    return to;
}

static void look_at_live(struct service_call *call, struct shard_live *live)
{
    struct controller *controller = node_controller(call->node);
    uint64_t now_ms = clock_monotonic_ms();
    for (uint32_t i = 0; i < live->view->instances_count && !call->stale; i++) {
        const struct instance *instance = &live->view->instances[i];
        struct controller_instance *heard = &live->instances[i];
        enum error error =
            controller_instance(controller, live->view->shard.id, instance->id, now_ms, heard);
        if (error == ERR_NOT_LEADER) {
            return;
        }
        live->leader = true;
        if (heard->heard && instance->id.value == live->view->shard.primary.value) {
            live->primary_position = heard->report.position;
        }
    }
    live->leader = !call->stale;
}

static void put_sync(struct service_call *call, const struct shard *shard, Indaba__V1__Shard *to)
{
    uint32_t pairs_count = shard->sync.pairs_count;
    void **pairs = wire_new_messages(&call->arena, pairs_count, sizeof(Indaba__V1__SyncPair));
    for (uint32_t i = 0; i < pairs_count; i++) {
        const struct sync_pair *from = &shard->sync.pairs[i];
        Indaba__V1__SyncPair *pair = pairs[i];
        indaba__v1__sync_pair__init(pair);
        pair->required = from->required;
        pair->n_members = from->members_count;
        void **members =
            wire_new_messages(&call->arena, from->members_count, sizeof(Indaba__V1__SyncMember));
        for (uint32_t at = 0; at < from->members_count; at++) {
            Indaba__V1__SyncMember *member = members[at];
            indaba__v1__sync_member__init(member);
            member->instance = service_printf(call, "%" PRIu32, from->members[at].instance.value);
            member->incarnation =
                service_printf(call, "%016" PRIx64, from->members[at].incarnation.value);
        }
        pair->members = (Indaba__V1__SyncMember **)(void *)members;
    }
    to->sync = (Indaba__V1__SyncPair **)(void *)pairs;
    to->n_sync = pairs_count;
}

static void
put_instances(struct service_call *call, const struct shard_live *live, Indaba__V1__Shard *to)
{
    uint32_t count = live->view->instances_count;
    void **messages = wire_new_messages(&call->arena, count, sizeof(Indaba__V1__Instance));
    for (uint32_t i = 0; i < count; i++) {
        put_instance(call, live, i, messages[i]);
    }
    /* The record names its members by number; people want names. */
    for (size_t pair = 0; pair < to->n_sync; pair++) {
        for (size_t i = 0; i < to->sync[pair]->n_members; i++) {
            const struct sync_member *member = &live->view->shard.sync.pairs[pair].members[i];
            to->sync[pair]->members[i]->instance =
                service_text(call, explain_instance(live->view, member->instance));
        }
    }
    to->instances = (Indaba__V1__Instance **)(void *)messages;
    to->n_instances = count;
}

static void put_instance(struct service_call *call,
                         const struct shard_live *live,
                         uint32_t number,
                         Indaba__V1__Instance *to)
{
    const struct instance *instance = &live->view->instances[number];
    struct goal goal;
    goal_derive(live->view, instance->id, &goal);
    indaba__v1__instance__init(to);
    to->name = service_text(call, instance->name);
    to->region = service_text(call, instance->region);
    to->address = service_text(call, instance->address);
    to->http_address = service_text(call, instance->http_address);
    to->incarnation = service_printf(call, "%016" PRIx64, instance->incarnation.value);
    to->goal = wire_string(goal_role_name(goal.role));
    const struct sync_member member = {.instance = instance->id,
                                       .incarnation = instance->incarnation};
    to->in_sync_set = sync_record_contains(&live->view->shard.sync, member);
    to->promotions_failed = instance->promotions_failed;
    to->promotion_trouble = service_text(call, instance->promotion_trouble);
    if (live->leader) {
        to->connected = live->instances[number].session_open;
        put_report(call, live, number, to);
    }
}

static void put_report(struct service_call *call,
                       const struct shard_live *live,
                       uint32_t number,
                       Indaba__V1__Instance *to)
{
    const struct controller_instance *heard = &live->instances[number];
    if (!heard->heard) {
        return;
    }
    const struct report *report = &heard->report;
    to->state = wire_string(instance_state_name(report->state));
    to->position = convert_position(call, report->position);
    if (live->primary_position.lsn > report->position.lsn) {
        to->lag_bytes = live->primary_position.lsn - report->position.lsn;
    }
    to->replay_lag_bytes = report->replay_lag_bytes;
    to->report_age_ms = heard->report_age_ms;
    /* What was heard a while ago says nothing about a lease now. */
    to->lease_held = is_heard_now(heard) && report->lease_epoch.value != 0 &&
                     report->lease_epoch.value == live->view->shard.primary_epoch.value;
    to->detail = service_text(call, report->detail);
    to->concern = service_text(call, report->concern);
    to->gate = service_text(call, report->gate);
}

static bool is_heard_now(const struct controller_instance *heard)
{
    return heard->session_open && heard->heard && heard->report_age_ms <= OBSERVATION_FRESH_MS;
}

/* By the primary's own report: too few of the newest pair stream from it. NULL: it is not so, or it
 * is not heard, which is told where it stands. */
static char *
writes_wait(struct service_call *call, const struct shard_live *live, const struct sync_pair *pair)
{
    const struct shard *shard = &live->view->shard;
    for (uint32_t i = 0; live->leader && i < live->view->instances_count; i++) {
        const struct controller_instance *heard = &live->instances[i];
        const struct report *report = &heard->report;
        if (live->view->instances[i].id.value != shard->primary.value || !is_heard_now(heard) ||
            report->state != INSTANCE_PRIMARY) {
            continue;
        }
        uint32_t streaming = 0;
        for (uint32_t k = 0; k < report->streaming_count; k++) {
            streaming += sync_pair_contains(pair, report->streaming[k]);
        }
        if (streaming < pair->required) {
            return service_printf(call,
                                  "NO WRITE IS ACKNOWLEDGED now: %" PRIu32 " of the sync set "
                                  "stream from the primary, and %" PRIu32 " must hold a write",
                                  streaming,
                                  pair->required);
        }
    }
    return NULL;
}

/* The primary says, now, that its commit gate is in force. */
static bool is_gated(const struct shard_live *live)
{
    for (uint32_t i = 0; live->leader && i < live->view->instances_count; i++) {
        const struct controller_instance *heard = &live->instances[i];
        if (live->view->instances[i].id.value == live->view->shard.primary.value) {
            return is_heard_now(heard) && strcmp(heard->report.gate, GATE_IN_FORCE) == 0;
        }
    }
    return false;
}

/* What the promise does not cover now, in words. */
static void
put_can_lose(struct service_call *call, const struct shard_live *live, Indaba__V1__Shard *to)
{
    const struct shard *shard = &live->view->shard;
    to->can_lose = wire_new(&call->arena, CAN_LOSE_MAX * sizeof(char *));
    if (shard->primary.value == 0) {
        return;
    }
    if (shard->mode == SHARD_ASYNC) {
        to->can_lose[to->n_can_lose++] = service_printf(
            call,
            "async: when the primary dies, writes it acknowledged and did not ship yet (objective "
            "%" PRIu32 " ms, measured, not yet enforced)",
            shard->rpo_ms);
        to->can_lose[to->n_can_lose++] = service_text(
            call,
            is_gated(live)
                ? "async: the commit gate is in force; pauses that stop the host's clock "
                  "(hypervisor, live migration) are not covered"
                : "async: clock only, host pauses not covered");
        return;
    }
    if (shard->lapse[0] != '\0') {
        char since[CLOCK_WALL_TEXT_SIZE];
        to->can_lose[to->n_can_lose++] = service_printf(
            call,
            "could lose: what was acknowledged since a moment before %s, until enough standbys "
            "are seen to hold it: %s",
            clock_format_wall(shard->lapse_wall_ms, since),
            shard->lapse);
    }
    to->can_lose[to->n_can_lose++] = service_text(
        call,
        is_gated(live)
            ? "not covered by the commit gate: unlogged tables, sequences, messages outside of "
              "transactions, what a superuser's own C code does (docs/gate.md)"
            : "sync with gaps: cancelled waits (pg_cancel_backend), sessions, roles, databases and "
              "functions with a weaker synchronous_commit, unlogged tables, settings changed less "
              "than "
              "a probe before the primary dies");
    const struct sync_record *sync = &shard->sync;
    const struct sync_pair *pair =
        sync->pairs_count == 0 ? NULL : &sync->pairs[sync->pairs_count - 1];
    if (pair == NULL || pair->members_count == 0) {
        to->can_lose[to->n_can_lose++] = service_text(
            call,
            "no standby is in the sync set: nothing is acknowledged; writes wait until one "
            "joins");
        return;
    }
    char *waiting = writes_wait(call, live, pair);
    if (waiting != NULL) {
        to->can_lose[to->n_can_lose++] = waiting;
    }
    if (pair->members_count == pair->required) {
        to->can_lose[to->n_can_lose++] = service_printf(
            call,
            "the sync set has no spare: with one of its %" PRIu32 " standbys down, writes wait",
            pair->members_count);
    }
    CHECK(to->n_can_lose <= CAN_LOSE_MAX);
}
