/* SPDX-License-Identifier: Apache-2.0 */
/* The controller: mirror of the replicated state, this member's office, outputs. Deciding is in
 * controller_plan.c, sidecars are in controller_session.c. */
#include "decide/controller_internal.h"

#include "base/check.h"
#include "base/log.h"
#include "base/mem.h"
#include "decide/explain.h"

#include <string.h>

static struct shard_slot *slot_of(struct controller *controller, struct shard_id shard);
static void reset_slot(struct shard_slot *slot, uint64_t now_ms);
static void clear_outputs(struct controller *controller);
static void run_dirty(struct controller *controller, uint64_t now_ms);
static bool take_queued(struct controller *controller, struct controller_output *output_out);
static void fill_goal(const struct controller *controller,
                      const struct session *session,
                      struct controller_output *output_out);

struct controller *controller_new(void)
{
    struct controller *controller = mem_new(sizeof(*controller));
    controller->leases = leases_new();
    return controller;
}

void controller_free(struct controller *controller)
{
    if (controller == NULL) {
        return;
    }
    clear_outputs(controller);
    for (uint32_t i = 0; i < controller->slots_count; i++) {
        if (controller->slots[i] != NULL) {
            mem_free(controller->slots[i]->command);
        }
        mem_free(controller->slots[i]);
    }
    leases_free(controller->leases);
    mem_free(controller->slots);
    mem_free(controller->dirty);
    mem_free(controller->sessions);
    mem_free(controller->queue);
    mem_free(controller);
}

void controller_cluster_changed(struct controller *controller,
                                struct cluster_id cluster,
                                const char *member_name,
                                uint32_t lease_ms)
{
    controller->cluster = cluster;
    CHECK(strlen(member_name) < NAME_SIZE);
    memcpy(controller->member_name, member_name, strlen(member_name) + 1);
    if (lease_ms > 0) {
        leases_set_duration(controller->leases, lease_ms);
    }
}

void controller_recovery_changed(struct controller *controller,
                                 uint32_t cluster_epoch,
                                 bool unconfirmed)
{
    CHECK(cluster_epoch >= controller->cluster_epoch);
    controller->cluster_epoch = cluster_epoch;
    controller->unconfirmed = unconfirmed;
}

void controller_regions_changed(struct controller *controller,
                                const struct region *regions,
                                uint32_t count)
{
    CHECK(count <= REGIONS_MAX);
    controller->regions_count = count;
    if (count > 0) {
        memcpy(controller->regions, regions, count * sizeof(regions[0]));
    }
}

void controller_view_changed(struct controller *controller,
                             const struct shard_view *view,
                             uint64_t now_ms)
{
    struct shard_slot *slot = slot_of(controller, view->shard.id);

    CHECK(view->shard.epoch.value >= slot->view.shard.epoch.value);
    slot->view = *view;
    refused_order_forget(&slot->refused);
    leases_view_changed(controller->leases, view, now_ms);
    if (controller->leader) {
        observe_view(&slot->observations, view, now_ms);
        slot->goals_dirty = true;
        controller_mark_dirty(controller, slot);
    }
}

void controller_applied(struct controller *controller, uint64_t index)
{
    CHECK(index >= controller->applied_index);
    controller->applied_index = index;
    leases_applied(controller->leases, index);
}

void controller_elected(struct controller *controller, uint64_t term, uint64_t now_ms)
{
    CHECK(!controller->leader);
    CHECK(term > controller->term);
    controller->leader = true;
    controller->term = term;
    controller->elected_ms = now_ms;
    controller->last_tick_ms = now_ms;
    leases_elected(controller->leases, now_ms);
    for (uint32_t i = 0; i < controller->slots_count; i++) {
        if (controller->slots[i] != NULL) {
            reset_slot(controller->slots[i], now_ms);
            controller_mark_dirty(controller, controller->slots[i]);
        }
    }
}

void controller_stepped_down(struct controller *controller)
{
    if (!controller->leader) {
        return;
    }
    controller->leader = false;
    leases_stepped_down(controller->leases);
    controller_drop_sessions(controller);
    clear_outputs(controller);
    for (uint32_t i = 0; i < controller->slots_count; i++) {
        if (controller->slots[i] != NULL) {
            reset_slot(controller->slots[i], 0);
        }
    }
}

void controller_read_ready(struct controller *controller,
                           uint64_t read_id,
                           uint64_t index,
                           bool confirmed)
{
    leases_read_ready(controller->leases, read_id, index, confirmed);
}

struct controller_counts controller_counts(const struct controller *controller)
{
    struct controller_counts counts = {
        .leases = leases_counts(controller->leases),
        .sessions = controller->sessions_count,
        .proposals = controller->proposals,
    };
    for (uint32_t i = 0; i < controller->slots_count; i++) {
        counts.shards += controller->slots[i] != NULL;
    }
    return counts;
}

void controller_waiting(const struct controller *controller, struct shard_id shard, char *text_out)
{
    const struct shard_slot *slot = controller_slot(controller, shard);

    explain(text_out, "%s", slot != NULL && controller->leader ? slot->waiting : "");
}

void controller_tick(struct controller *controller, uint64_t now_ms, uint64_t wall_ms)
{
    if (!controller->leader) {
        return;
    }
    CHECK(now_ms >= controller->last_tick_ms);
    bool full = now_ms - controller->last_tick_ms >= CONTROLLER_TICK_MS;
    controller->last_wall_ms = wall_ms;
    if (full) {
        controller->last_tick_ms = now_ms;
        for (uint32_t i = 0; i < controller->slots_count; i++) {
            if (controller->slots[i] != NULL) {
                controller_mark_dirty(controller, controller->slots[i]);
            }
        }
    }
    run_dirty(controller, now_ms);
}

void controller_out_of_touch(struct controller *controller, uint64_t now_ms)
{
    for (uint32_t i = 0; i < controller->slots_count; i++) {
        if (controller->slots[i] != NULL) {
            observe_out_of_touch(&controller->slots[i]->observations, now_ms);
        }
    }
}

bool controller_next(struct controller *controller,
                     uint64_t now_ms,
                     struct controller_output *output_out)
{
    struct lease_answer answer;

    if (!controller->leader) {
        return false;
    }
    run_dirty(controller, now_ms);
    while (leases_next_answer(controller->leases, now_ms, &answer)) {
        if (controller_session(controller, answer.session) != NULL) {
            output_out->kind = CONTROLLER_RENEWAL_ANSWER;
            output_out->session = answer.session;
            output_out->renewal_answer = answer.answer;
            return true;
        }
    }
    if (leases_next_read(controller->leases, &output_out->read_id)) {
        output_out->kind = CONTROLLER_READ;
        output_out->session = 0;
        return true;
    }
    return take_queued(controller, output_out);
}

struct shard_slot *controller_slot(const struct controller *controller, struct shard_id shard)
{
    if (shard.value == 0 || shard.value > controller->slots_count) {
        return NULL;
    }
    return controller->slots[shard.value - 1];
}

void controller_mark_dirty(struct controller *controller, struct shard_slot *slot)
{
    if (slot->dirty) {
        return;
    }
    CHECK(controller->dirty_count < controller->slots_count);
    slot->dirty = true;
    controller->dirty[controller->dirty_count++] = slot->view.shard.id;
}

void controller_queue(struct controller *controller, const struct queued *queued)
{
    if (controller->queue_count == controller->queue_cap) {
        uint32_t cap = controller->queue_cap == 0 ? 32 : controller->queue_cap * 2;
        struct queued *queue = mem_new_array(cap, sizeof(queue[0]));
        for (uint32_t i = 0; i < controller->queue_count; i++) {
            queue[i] = controller->queue[(controller->queue_head + i) % controller->queue_cap];
        }
        mem_free(controller->queue);
        controller->queue = queue;
        controller->queue_head = 0;
        controller->queue_cap = cap;
    }
    uint32_t tail = (controller->queue_head + controller->queue_count) % controller->queue_cap;
    controller->queue[tail] = *queued;
    controller->queue_count++;
}

static struct shard_slot *slot_of(struct controller *controller, struct shard_id shard)
{
    CHECK(shard.value > 0);
    CHECK(shard.value <= SHARDS_MAX);
    if (shard.value > controller->slots_count) {
        uint32_t count = controller->slots_count == 0 ? 16 : controller->slots_count;
        while (count < shard.value) {
            count *= 2;
        }
        controller->slots = mem_resize(controller->slots, count * sizeof(controller->slots[0]));
        for (uint32_t i = controller->slots_count; i < count; i++) {
            controller->slots[i] = NULL;
        }
        controller->slots_count = count;
        controller->dirty = mem_resize(controller->dirty, count * sizeof(controller->dirty[0]));
    }
    struct shard_slot **place = &controller->slots[shard.value - 1];
    if (*place == NULL) {
        *place = mem_new(sizeof(**place));
        (*place)->view.shard.id = shard;
        observe_elected(&(*place)->observations, controller->elected_ms);
    }
    return *place;
}

static void reset_slot(struct shard_slot *slot, uint64_t now_ms)
{
    observe_elected(&slot->observations, now_ms);
    observe_view(&slot->observations, &slot->view, now_ms);
    mem_free(slot->command);
    slot->command = NULL;
    slot->ticket = 0;
    slot->ticket_session = 0;
    slot->wait_index = 0;
    slot->held_until_ms = 0;
    refused_order_forget(&slot->refused);
    slot->requested = false;
    slot->wanted.value = 0;
    slot->waiting[0] = '\0';
}

static void clear_outputs(struct controller *controller)
{
    for (uint32_t i = 0; i < controller->queue_count; i++) {
        mem_free(controller->queue[(controller->queue_head + i) % controller->queue_cap].text);
    }
    controller->queue_count = 0;
    for (uint32_t i = 0; i < controller->dirty_count; i++) {
        struct shard_slot *slot = controller_slot(controller, controller->dirty[i]);
        CHECK(slot != NULL);
        slot->dirty = false;
    }
    controller->dirty_count = 0;
}

static void run_dirty(struct controller *controller, uint64_t now_ms)
{
    uint32_t count = controller->dirty_count;

    for (uint32_t i = 0; i < count; i++) {
        struct shard_slot *slot = controller_slot(controller, controller->dirty[i]);
        CHECK(slot != NULL);
        slot->dirty = false;
        controller_flush_goals(controller, slot, now_ms);
        controller_plan(controller, slot, now_ms);
    }
    /* Nothing above marks a slot dirty again: that would make this loop endless. */
    CHECK(controller->dirty_count == count);
    controller->dirty_count = 0;
}

static bool take_queued(struct controller *controller, struct controller_output *output_out)
{
    while (controller->queue_count > 0) {
        struct queued queued = controller->queue[controller->queue_head];
        controller->queue_head = (controller->queue_head + 1) % controller->queue_cap;
        controller->queue_count--;

        output_out->kind = queued.kind;
        output_out->session = queued.session;
        const struct session *session = controller_session(controller, queued.session);
        switch (queued.kind) {
        case CONTROLLER_PROPOSE: {
            struct shard_slot *slot = controller_slot(controller, queued.shard);
            if (slot == NULL || slot->command == NULL) {
                continue;
            }
            controller_take_command(controller, slot, output_out);
            return true;
        }
        case CONTROLLER_CLOSE:
            explain(output_out->text, "%s", queued.text);
            mem_free(queued.text);
            return true;
        case CONTROLLER_WELCOME:
            if (session == NULL) {
                continue;
            }
            output_out->welcome.cluster = controller->cluster;
            output_out->welcome.shard = session->shard;
            output_out->welcome.instance = session->instance;
            output_out->welcome.term = controller->term;
            output_out->welcome.cluster_epoch = controller->cluster_epoch;
            memcpy(output_out->welcome.leader, controller->member_name, NAME_SIZE);
            return true;
        case CONTROLLER_GOAL:
            if (session == NULL) {
                continue;
            }
            fill_goal(controller, session, output_out);
            return true;
        case CONTROLLER_READ:
        case CONTROLLER_RENEWAL_ANSWER:
            UNREACHABLE("made on demand, never queued");
        }
    }
    return false;
}

/* Derived when it leaves, so that a goal overtaken in the queue is not sent. */
static void fill_goal(const struct controller *controller,
                      const struct session *session,
                      struct controller_output *output_out)
{
    const struct shard_slot *slot = controller_slot(controller, session->shard);

    CHECK(slot != NULL);
    CHECK(session->instance.value != 0);
    goal_derive(&slot->view, session->instance, &output_out->goal);
    output_out->goal.marks = slot->observations.marks;
}
