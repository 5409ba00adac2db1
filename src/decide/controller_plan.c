/* SPDX-License-Identifier: Apache-2.0 */
/* The controller's deciding half: which one command, if any, a shard needs now, and what became of
 * it. In order: make a sidecar known, note a new data folder, move a failover, mend the sync
 * record.
 */
#include "decide/controller_internal.h"

#include "base/check.h"
#include "base/log.h"
#include "base/mem.h"
#include "decide/explain.h"
#include "decide/failover_planner.h"
#include "decide/failover_restart.h"
#include "decide/lapse_planner.h"
#include "decide/sync_planner.h"

#include <inttypes.h>
#include <string.h>

enum {
    REFUSED_HOLD_MS = 250, /* after a refusal at apply, before the shard proposes again */
    WISH_MS = 5000,        /* a failover that was asked for and cannot begin is withdrawn */
};

static bool plan_hello(struct controller *controller, struct shard_slot *slot, struct plan *plan);
static bool plan_incarnation(const struct shard_slot *slot, struct plan *plan);
static void plan_failover(struct controller *controller,
                          struct shard_slot *slot,
                          uint64_t now_ms,
                          struct plan *plan);
static void plan_input_of(const struct controller *controller,
                          const struct shard_slot *slot,
                          uint64_t now_ms,
                          struct plan_input *input_out);
static void withdraw_wish(struct shard_slot *slot, uint64_t now_ms);
static void propose(struct controller *controller,
                    struct shard_slot *slot,
                    uint64_t now_ms,
                    const struct plan *plan);
static uint64_t wall_at(const struct controller *controller, uint64_t now_ms);

void controller_plan(struct controller *controller, struct shard_slot *slot, uint64_t now_ms)
{
    if (slot->ticket != 0 && now_ms - slot->proposed_ms < CONTROLLER_PROPOSAL_MS) {
        return;
    }
    if (controller->applied_index < slot->wait_index || now_ms < slot->held_until_ms) {
        return;
    }
    slot->ticket = 0;
    slot->ticket_session = 0;
    if (slot->requested && slot->view.shard.epoch.value >= slot->wanted_epoch.value) {
        slot->requested = false; /* begun, by this wish or by another cause */
    }
    withdraw_wish(slot, now_ms);
    if (!slot->requested && !shard_view_in_failover(&slot->view)) {
        slot->wanted.value = 0; /* through, or another one's turn */
    }
    struct plan plan = {0};
    if (!plan_hello(controller, slot, &plan) && !plan_incarnation(slot, &plan)) {
        plan_failover(controller, slot, now_ms, &plan);
    }
    if (plan.has_command && refused_order_holds(&slot->refused, &plan.command, now_ms)) {
        MARK("controller.refused_order_held");
        explain(slot->waiting, "an order was refused: %s", slot->refused.text);
    } else if (plan.has_command) {
        propose(controller, slot, now_ms, &plan);
    }
}

void controller_take_command(struct controller *controller,
                             struct shard_slot *slot,
                             struct controller_output *output_out)
{
    CHECK(slot->command != NULL);
    CHECK(slot->ticket != 0);
    /* The close is "proposed" from here on: renewals already ready must not be answered after. */
    if (slot->command->kind == COMMAND_FAILOVER_BEGIN) {
        leases_close_proposed(
            controller->leases, slot->view.shard.id, slot->view.shard.primary_epoch);
    }
    output_out->kind = CONTROLLER_PROPOSE;
    output_out->session = 0;
    output_out->propose.ticket = slot->ticket;
    output_out->propose.command = *slot->command;
    mem_free(slot->command);
    slot->command = NULL;
    controller->proposals++;
}

void controller_proposed(struct controller *controller,
                         uint64_t ticket,
                         const struct command_result *result)
{
    for (uint32_t i = 0; i < controller->slots_count && controller->leader; i++) {
        struct shard_slot *slot = controller->slots[i];
        if (slot == NULL || slot->ticket != ticket || ticket == 0) {
            continue;
        }
        uint64_t session = slot->ticket_session;
        slot->ticket = 0;
        slot->ticket_session = 0;
        slot->wait_index = result->index;
        if (result->error != ERR_OK) {
            MARK("controller.refused");
            slot->held_until_ms = slot->proposed_ms + REFUSED_HOLD_MS;
            explain(slot->waiting, "an order was refused: %s", result->message);
            if (session == 0 && result->index != 0) {
                refused_order_note(
                    &slot->refused, slot->order_kind, slot->order_print, slot->proposed_ms);
                explain(slot->refused.text, "%s", result->message);
            }
            if (session != 0 && result->index != 0) {
                controller_end_session(controller, session, result->message);
            }
        }
        controller_mark_dirty(controller, slot);
        return;
    }
}

enum error controller_failover(struct controller *controller,
                               const struct controller_wish *wish,
                               uint64_t now_ms,
                               char *message_out)
{
    struct shard_slot *slot = controller_slot(controller, wish->shard);
    struct instance_id wanted = wish->wanted;

    if (!controller->leader) {
        explain(message_out, "this member is not the leader: ask the leader");
        return ERR_NOT_LEADER;
    }
    if (slot == NULL) {
        explain(message_out, "there is no shard %u", wish->shard.value);
        return ERR_NOT_FOUND;
    }
    const struct shard *record = &slot->view.shard;
    const struct instance *instance = shard_view_instance(&slot->view, wanted);
    if (slot->requested && slot->wanted.value == wanted.value) {
        return ERR_OK; /* asked again */
    }
    if (record->primary.value == 0 || shard_view_in_failover(&slot->view) || slot->requested) {
        explain(message_out,
                "shard %s has %s: wait until it is through",
                record->name,
                record->primary.value == 0 ? "no primary yet" : "a failover under way");
        return ERR_PRECONDITION;
    }
    if (wanted.value != 0 && (instance == NULL || wanted.value == record->primary.value ||
                              !shard_allows_region(record, instance->region))) {
        explain(message_out,
                "%s cannot be the next primary of shard %s: name a standby in an allowed region",
                explain_instance(&slot->view, wanted),
                record->name);
        return ERR_INVALID;
    }
    struct plan_input input;
    plan_input_of(controller, slot, now_ms, &input);
    input.wanted = wanted;
    if (!failover_wish_is_possible(&input, message_out)) {
        MARK("controller.wish_refused");
        return ERR_PRECONDITION;
    }
    slot->requested = true;
    slot->requested_ms = now_ms;
    slot->wanted = wanted;
    slot->wanted_epoch = epoch_next(record->epoch, controller->cluster_epoch);
    explain(slot->request_reason, "%s", wish->reason);
    controller_mark_dirty(controller, slot);
    return ERR_OK;
}

/* A sidecar that is not known yet, or moved to another address. */
static bool plan_hello(struct controller *controller, struct shard_slot *slot, struct plan *plan)
{
    const struct session *session = controller_unknown_session(controller, slot->view.shard.id);
    if (session == NULL) {
        return false;
    }
    plan->has_command = true;
    slot->ticket_session = session->id;
    for (uint32_t i = 0; i < slot->view.instances_count; i++) {
        const struct instance *known = &slot->view.instances[i];
        if (strcmp(known->name, session->hello.instance) != 0) {
            continue;
        }
        plan->command.kind = COMMAND_INSTANCE_UPDATE;
        struct command_instance_update *update = &plan->command.instance_update;
        update->shard = slot->view.shard.id;
        update->instance = known->id;
        update->incarnation = known->incarnation;
        memcpy(update->address, session->hello.address, ADDRESS_SIZE);
        memcpy(update->http_address, session->hello.http_address, ADDRESS_SIZE);
        return true;
    }
    plan->command.kind = COMMAND_INSTANCE_REGISTER;
    plan->command.instance_register.hello = session->hello;
    return true;
}

/* A data folder that the record does not know yet. */
static bool plan_incarnation(const struct shard_slot *slot, struct plan *plan)
{
    for (uint32_t i = 0; i < slot->view.instances_count; i++) {
        const struct instance *known = &slot->view.instances[i];
        const struct observation *heard = observe_find(&slot->observations, known->id);
        if (heard == NULL || heard->session == 0 || !heard->heard ||
            heard->report.incarnation.value == 0 ||
            heard->report.incarnation.value == known->incarnation.value) {
            continue;
        }
        /* One that was given up and is still in the record is refused at apply, whatever the shard
         * needs meanwhile: it must not take the turn of everything else. */
        const struct sync_member folder = {.instance = known->id,
                                           .incarnation = heard->report.incarnation};
        if (sync_record_contains(&slot->view.shard.sync, folder)) {
            MARK("controller.folder_given_up");
            continue;
        }
        plan->has_command = true;
        plan->command.kind = COMMAND_INSTANCE_UPDATE;
        struct command_instance_update *update = &plan->command.instance_update;
        update->shard = slot->view.shard.id;
        update->instance = known->id;
        update->incarnation = heard->report.incarnation;
        memcpy(update->address, known->address, ADDRESS_SIZE);
        memcpy(update->http_address, known->http_address, ADDRESS_SIZE);
        return true;
    }
    return false;
}

static void plan_failover(struct controller *controller,
                          struct shard_slot *slot,
                          uint64_t now_ms,
                          struct plan *plan)
{
    struct plan_input input;
    plan_input_of(controller, slot, now_ms, &input);
    failover_plan(&input, plan);
    if (!plan->has_command) {
        /* Also while a failover that was asked for cannot begin: it may be the record that keeps it
         * from beginning, and meanwhile the primary goes on. */
        char waiting[TEXT_SIZE];
        memcpy(waiting, plan->waiting, TEXT_SIZE);
        sync_plan(&input, plan);
        if (!plan->has_command) {
            lapse_plan(&input, plan);
        }
        if (!plan->has_command && waiting[0] != '\0') {
            memcpy(plan->waiting, waiting, TEXT_SIZE);
        }
    }
    memcpy(slot->waiting, plan->waiting, TEXT_SIZE);
}

static void plan_input_of(const struct controller *controller,
                          const struct shard_slot *slot,
                          uint64_t now_ms,
                          struct plan_input *input_out)
{
    *input_out = (struct plan_input){
        .view = &slot->view,
        .observations = &slot->observations,
        .regions = {.regions = controller->regions, .count = controller->regions_count},
        .now_ms = now_ms,
        .cluster_epoch = controller->cluster_epoch,
        .lease_ended = !controller->unconfirmed &&
                       leases_ended(controller->leases, slot->view.shard.id, now_ms),
        .requested = slot->requested,
    };
    /* Also in a later attempt of the same move. */
    if (slot->requested || slot->view.shard.epoch.value >= slot->wanted_epoch.value) {
        input_out->wanted = slot->wanted;
    }
    memcpy(input_out->request_reason, slot->request_reason, TEXT_SIZE);
}

/* It was possible when it was taken up. Whoever asked was told to look, and does not expect it to
 * happen some day. */
static void withdraw_wish(struct shard_slot *slot, uint64_t now_ms)
{
    if (slot->requested && now_ms - slot->requested_ms >= WISH_MS) {
        MARK("controller.wish_withdrawn");
        slot->requested = false;
    }
}

static void propose(struct controller *controller,
                    struct shard_slot *slot,
                    uint64_t now_ms,
                    const struct plan *plan)
{
    if (slot->command == NULL) {
        slot->command = mem_new(sizeof(*slot->command));
        struct queued queued = {.kind = CONTROLLER_PROPOSE, .shard = slot->view.shard.id};
        controller_queue(controller, &queued);
    }
    *slot->command = plan->command;
    slot->command->leader_term = controller->term;
    slot->command->wall_ms = wall_at(controller, now_ms);
    memcpy(slot->command->actor, "leader", sizeof("leader"));
    if (slot->command->kind == COMMAND_FAILOVER_BEGIN) {
        uint64_t ago_ms = now_ms > plan->detected_ms ? now_ms - plan->detected_ms : 0;
        uint64_t wall_ms = slot->command->wall_ms;
        slot->command->failover.detected_wall_ms = wall_ms > ago_ms ? wall_ms - ago_ms : 0;
    }
    slot->order_kind = plan->command.kind;
    slot->order_print = order_print(&plan->command);
    slot->ticket = ++controller->ticket_last;
    slot->proposed_ms = now_ms;
}

static uint64_t wall_at(const struct controller *controller, uint64_t now_ms)
{
    uint64_t since_ms = now_ms > controller->last_tick_ms ? now_ms - controller->last_tick_ms : 0;

    return controller->last_wall_ms + since_ms;
}
