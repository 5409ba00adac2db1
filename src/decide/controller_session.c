/* SPDX-License-Identifier: Apache-2.0 */
/* The controller's sidecars: hello, reports, renewals, and which goal each was last told. A sidecar
 * has one session; a newer one replaces the older. */
#include "decide/controller_internal.h"

#include "base/check.h"
#include "base/log.h"
#include "base/mem.h"
#include "decide/explain.h"
#include "model/shard_kind.h"

#include <string.h>

enum {
    MARKS_TOLD_EVERY_MS = 1000
};

static bool is_of_its_kind(const struct shard *shard, const struct hello *hello, char *message_out);
static enum error
hello_check(const struct controller *controller, const struct hello *hello, char *message_out);
static struct shard_slot *slot_by_name(const struct controller *controller, const char *name);
static void session_remove(struct controller *controller, uint64_t id);
static bool welcome_if_known(struct controller *controller,
                             struct shard_slot *slot,
                             struct session *session,
                             uint64_t now_ms);
static void
queue_goal(struct controller *controller, struct shard_slot *slot, struct session *session);
static void tell_marks(struct controller *controller, struct shard_slot *slot, uint64_t now_ms);

enum error controller_hello(struct controller *controller,
                            uint64_t session_id,
                            const struct hello *hello,
                            char *message_out)
{
    TRY(hello_check(controller, hello, message_out));
    struct shard_slot *slot = slot_by_name(controller, hello->shard);
    CHECK(slot != NULL);
    CHECK(session_id != 0);
    CHECK(controller->sessions_count == 0 ||
          controller->sessions[controller->sessions_count - 1].id < session_id);
    if (controller->sessions_count >= SHARDS_MAX * SHARD_INSTANCES_MAX) {
        explain(message_out, "this member holds its limit of sidecar sessions");
        return ERR_LIMIT;
    }
    if (controller->sessions_count == controller->sessions_cap) {
        controller->sessions_cap =
            controller->sessions_cap == 0 ? 16 : controller->sessions_cap * 2;
        controller->sessions = mem_resize(
            controller->sessions, controller->sessions_cap * sizeof(controller->sessions[0]));
    }
    controller->sessions[controller->sessions_count++] =
        (struct session){.id = session_id, .shard = slot->view.shard.id, .hello = *hello};
    slot->goals_dirty = true;
    controller_mark_dirty(controller, slot);
    return ERR_OK;
}

enum error controller_report(struct controller *controller,
                             uint64_t session_id,
                             const struct report *report,
                             uint64_t now_ms)
{
    const struct session *session = controller_session(controller, session_id);
    if (session == NULL || session->instance.value == 0 ||
        report->instance.value != session->instance.value) {
        return ERR_PRECONDITION;
    }
    struct shard_slot *slot = controller_slot(controller, session->shard);
    CHECK(slot != NULL);
    TRY(observe_report(&slot->observations, report, session_id, now_ms));
    controller_mark_dirty(controller, slot);
    return ERR_OK;
}

enum error controller_renewal(struct controller *controller,
                              uint64_t session_id,
                              const struct renewal *renewal)
{
    const struct session *session = controller_session(controller, session_id);
    if (session == NULL || session->instance.value == 0) {
        return ERR_PRECONDITION;
    }
    leases_renewal(controller->leases, session->shard, session->instance, session_id, renewal);
    return ERR_OK;
}

void controller_session_closed(struct controller *controller, uint64_t session_id, uint64_t now_ms)
{
    const struct session *session = controller_session(controller, session_id);
    if (session == NULL) {
        return;
    }
    struct shard_slot *slot = controller_slot(controller, session->shard);
    CHECK(slot != NULL);
    observe_session_closed(&slot->observations, session->instance, session_id, now_ms);
    session_remove(controller, session_id);
    controller_mark_dirty(controller, slot);
}

enum error controller_instance(const struct controller *controller,
                               struct shard_id shard,
                               struct instance_id instance,
                               uint64_t now_ms,
                               struct controller_instance *instance_out)
{
    const struct shard_slot *slot = controller_slot(controller, shard);

    if (!controller->leader) {
        return ERR_NOT_LEADER;
    }
    if (slot == NULL || shard_view_instance(&slot->view, instance) == NULL) {
        return ERR_NOT_FOUND;
    }
    memset(instance_out, 0, sizeof(*instance_out));
    const struct observation *heard = observe_find(&slot->observations, instance);
    if (heard != NULL) {
        instance_out->session_open = heard->session != 0;
        instance_out->heard = heard->heard;
        instance_out->report_age_ms = heard->heard ? now_ms - heard->report_ms : 0;
        instance_out->report = heard->report;
    }
    return ERR_OK;
}

struct session *controller_session(const struct controller *controller, uint64_t id)
{
    uint32_t low = 0;
    uint32_t high = controller->sessions_count;

    while (low < high) {
        uint32_t middle = low + (high - low) / 2;
        if (controller->sessions[middle].id == id) {
            return &controller->sessions[middle];
        }
        if (controller->sessions[middle].id < id) {
            low = middle + 1;
        } else {
            high = middle;
        }
    }
    return NULL;
}

const struct session *controller_unknown_session(const struct controller *controller,
                                                 struct shard_id shard)
{
    for (uint32_t i = 0; i < controller->sessions_count; i++) {
        const struct session *session = &controller->sessions[i];
        if (session->shard.value == shard.value && session->instance.value == 0) {
            return session;
        }
    }
    return NULL;
}

void controller_flush_goals(struct controller *controller, struct shard_slot *slot, uint64_t now_ms)
{
    tell_marks(controller, slot, now_ms);
    if (!slot->goals_dirty) {
        return;
    }
    slot->goals_dirty = false;
    for (uint32_t i = 0; i < controller->sessions_count;) {
        struct session *session = &controller->sessions[i];
        uint64_t id = session->id;
        if (session->shard.value == slot->view.shard.id.value &&
            (session->instance.value != 0 || welcome_if_known(controller, slot, session, now_ms))) {
            /* Welcoming may have ended an older session and so moved this one. */
            queue_goal(controller, slot, controller_session(controller, id));
        }
        while (i < controller->sessions_count && controller->sessions[i].id <= id) {
            i++;
        }
    }
}

/* What a folder is known to hold must outlive its machine and this leader: each sidecar keeps it.
 */
static void tell_marks(struct controller *controller, struct shard_slot *slot, uint64_t now_ms)
{
    const struct observations *observations = &slot->observations;

    if (now_ms - slot->marks_told_ms < MARKS_TOLD_EVERY_MS ||
        marks_equal(&observations->marks, &slot->marks_told)) {
        return;
    }
    slot->marks_told = observations->marks;
    slot->marks_told_ms = now_ms;
    for (uint32_t i = 0; i < observations->count; i++) {
        const struct session *session =
            controller_session(controller, observations->items[i].session);
        if (session != NULL && session->goal_sent) {
            struct queued queued = {.kind = CONTROLLER_GOAL, .session = session->id};
            controller_queue(controller, &queued);
        }
    }
}

void controller_end_session(struct controller *controller, uint64_t id, const char *text)
{
    if (controller_session(controller, id) == NULL) {
        return;
    }
    struct queued queued = {.kind = CONTROLLER_CLOSE, .session = id, .text = mem_dup_string(text)};
    controller_queue(controller, &queued);
    session_remove(controller, id);
}

void controller_drop_sessions(struct controller *controller)
{
    controller->sessions_count = 0;
}

static enum error
hello_check(const struct controller *controller, const struct hello *hello, char *message_out)
{
    if (!controller->leader) {
        explain(message_out, "this member is not the leader: connect to the leader");
        return ERR_NOT_LEADER;
    }
    if (!name_is_valid(hello->shard) || !name_is_valid(hello->instance) ||
        !name_is_valid(hello->region) || hello->address[0] == '\0') {
        explain(
            message_out,
            "hello: shard, instance and region must be names of [a-z0-9._-], address must be set");
        return ERR_INVALID;
    }
    bool stranger = hello->cluster.hi != 0 || hello->cluster.lo != 0;
    if (stranger && !cluster_id_equal(hello->cluster, controller->cluster)) {
        explain(message_out,
                "hello: instance %s was set up for another cluster; check the sidecar's endpoints",
                hello->instance);
        return ERR_WRONG_CLUSTER;
    }
    const struct shard_slot *slot = slot_by_name(controller, hello->shard);
    if (slot == NULL) {
        explain(message_out,
                "hello: there is no shard %s; create it with `indaba shard create`",
                hello->shard);
        return ERR_NOT_FOUND;
    }
    if (!is_of_its_kind(&slot->view.shard, hello, message_out)) {
        return ERR_PRECONDITION;
    }
    for (uint32_t i = 0; i < slot->view.instances_count; i++) {
        const struct instance *known = &slot->view.instances[i];
        if (strcmp(known->name, hello->instance) == 0 &&
            strcmp(known->region, hello->region) != 0) {
            explain(message_out,
                    "hello: instance %s is registered in region %s; use another name for another "
                    "place",
                    known->name,
                    known->region);
            return ERR_INVALID;
        }
    }
    return ERR_OK;
}

static bool is_of_its_kind(const struct shard *shard, const struct hello *hello, char *message_out)
{
    enum shard_kind kind = SHARD_POSTGRES;
    if (shard_kind_parse(hello->kind, &kind) == ERR_OK && kind == shard->kind) {
        return true;
    }
    explain(message_out,
            "hello: shard %s is of kind %s, and instance %s is a database of kind %s: correct "
            "instance.kind or instance.shard",
            shard->name,
            shard_kind_name(shard->kind),
            hello->instance,
            hello->kind[0] == '\0' ? "postgres" : hello->kind);
    return false;
}

static struct shard_slot *slot_by_name(const struct controller *controller, const char *name)
{
    for (uint32_t i = 0; i < controller->slots_count; i++) {
        struct shard_slot *slot = controller->slots[i];
        if (slot != NULL && strcmp(slot->view.shard.name, name) == 0) {
            return slot;
        }
    }
    return NULL;
}

static void session_remove(struct controller *controller, uint64_t id)
{
    struct session *session = controller_session(controller, id);
    CHECK(session != NULL);
    uint32_t position = (uint32_t)(session - controller->sessions);
    controller->sessions_count--;
    memmove(&controller->sessions[position],
            &controller->sessions[position + 1],
            (controller->sessions_count - position) * sizeof(controller->sessions[0]));
}

/* Welcomes the session if its instance is in the view with the address it gave. */
static bool welcome_if_known(struct controller *controller,
                             struct shard_slot *slot,
                             struct session *session,
                             uint64_t now_ms)
{
    const struct instance *known = NULL;
    for (uint32_t i = 0; i < slot->view.instances_count; i++) {
        const struct instance *instance = &slot->view.instances[i];
        if (strcmp(instance->name, session->hello.instance) == 0 &&
            strcmp(instance->address, session->hello.address) == 0 &&
            strcmp(instance->http_address, session->hello.http_address) == 0) {
            known = instance;
        }
    }
    if (known == NULL) {
        return false;
    }
    uint64_t id = session->id;
    const struct observation *before = observe_find(&slot->observations, known->id);
    uint64_t replaced = before != NULL ? before->session : 0;
    enum error error = observe_session_opened(&slot->observations, known->id, id, now_ms);
    if (error != ERR_OK) {
        controller_end_session(controller, id, "the shard has its limit of instances");
        return false;
    }
    session->instance = known->id;
    struct queued queued = {.kind = CONTROLLER_WELCOME, .session = id};
    controller_queue(controller, &queued);
    if (replaced != 0 && replaced != id) {
        MARK("controller.session_replaced");
        controller_end_session(controller, replaced, "a newer session of this instance was opened");
    }
    return true;
}

static void
queue_goal(struct controller *controller, struct shard_slot *slot, struct session *session)
{
    struct goal goal;

    if (session == NULL) {
        return;
    }
    goal_derive(&slot->view, session->instance, &goal);
    if (session->goal_sent && session->goal_epoch.value == goal.epoch.value &&
        session->goal_index == goal.index) {
        return;
    }
    session->goal_sent = true;
    session->goal_epoch = goal.epoch;
    session->goal_index = goal.index;
    struct queued queued = {.kind = CONTROLLER_GOAL, .session = session->id};
    controller_queue(controller, &queued);
}
