/* SPDX-License-Identifier: Apache-2.0 */
/* A coordinator: the real Raft core, state machine and controller, on a virtual disk and network.
 * This is the shell of src/node/node.c in miniature: the same order of write, send, apply.
 */
#include "tests/sim/sim_world.h"

#include "base/check.h"
#include "base/mem.h"
#include "state/query.h"
#include "wire/wire_command.h"

#include <inttypes.h>
#include <string.h>

enum {
    GENERATION_SHIFT = 40,
};

static void send_message(struct sim *sim, const struct raft_message *message);
static void settle(struct sim *sim, struct sim_member *member);
static void die(struct sim *sim, struct sim_member *member, const struct reason *reason);
static void arm_timer(struct sim *sim, struct sim_member *member, uint64_t deadline_ms);

void sim_member_timer(struct sim *sim, struct sim_member *member, uint64_t generation)
{
    if (!member->up || generation != member->generation || sim->now_us != member->timer_at_us) {
        return;
    }
    member->timer_at_us = 0;
    if (member->paused) {
        return; /* sim_member_resume arms it again */
    }
    sim_member_tick(sim, member);
}

void sim_member_tick(struct sim *sim, struct sim_member *member)
{
    struct raft_event event = {.type = RAFT_EVENT_TICK};
    sim_member_step(sim, member, &event);
    if (member->elected) {
        if (raft_is_out_of_touch(member->raft, sim_member_local_ms(sim, member))) {
            controller_out_of_touch(member->controller, sim_member_local_ms(sim, member));
        }
        controller_tick(
            member->controller, sim_member_local_ms(sim, member), sim->now_us / SIM_MS + 1000000);
    }
    settle(sim, member);
}

void sim_member_disk(struct sim *sim, struct sim_member *member, const struct sim_item *item)
{
    if (!member->up || item->number >> GENERATION_SHIFT != member->generation) {
        return;
    }
    uint64_t seq = item->number & ((UINT64_C(1) << GENERATION_SHIFT) - 1);
    if (member->paused) {
        /* The platter does not wait, the process does. */
        sim_after(sim, 20 * SIM_MS, *item);
        return;
    }
    if (seq <= member->disk_done_seq) {
        return; /* held back by a pause, and overtaken: told with a later one */
    }
    member->disk_done_seq = seq;
    struct reason reason;
    if (sim_store_complete(&member->store, seq, &reason) != ERR_OK) {
        die(sim, member, &reason);
        return;
    }
    struct raft_event event = {.type = RAFT_EVENT_PERSISTED, .persisted_seq = seq};
    sim_member_step(sim, member, &event);
    settle(sim, member);
}

void sim_member_receive(struct sim *sim, struct sim_member *member, struct raft_message *message)
{
    if (member->up && member->paused) {
        sim_after(
            sim,
            20 * SIM_MS,
            (struct sim_item){.kind = EV_MEMBER_RECEIVE, .node = member->node, .data = message});
        return;
    }
    if (member->up && member_id_equal(message->to, member->id) &&
        sim_voices_hears(sim, member, message->from)) {
        struct raft_event event = {.type = RAFT_EVENT_RECEIVE, .message = message};
        sim_member_step(sim, member, &event);
        settle(sim, member);
    }
    raft_message_deinit(message);
    mem_free(message);
}

void sim_member_evidence(struct sim *sim, struct sim_member *member, uint64_t number)
{
    uint32_t other = (uint32_t)(number & 0xFF);
    bool alive = number >> 8 != 0;

    if (!member->up || member->paused || sim->members[other].up != alive) {
        return;
    }
    struct raft_event event = {
        .type = alive ? RAFT_EVENT_PEER_ALIVE : RAFT_EVENT_PEER_DEAD,
        .peer = sim->members[other].id,
    };
    sim_member_step(sim, member, &event);
    settle(sim, member);
}

void sim_member_resume(struct sim *sim, struct sim_member *member)
{
    if (!member->up || !member->paused) {
        return;
    }
    member->paused = false;
    arm_timer(sim, member, 0);
}

struct sim_member *sim_leader(struct sim *sim)
{
    struct sim_member *leader = NULL;

    for (uint32_t i = 1; i <= sim->members_count; i++) {
        struct sim_member *member = &sim->members[i];
        if (member->up && member->elected && (leader == NULL || member->term > leader->term)) {
            leader = member;
        }
    }
    return leader;
}

void sim_member_propose(struct sim *sim,
                        struct sim_member *member,
                        const struct command *command,
                        uint64_t ticket)
{
    struct raft_update update;
    bool taken = sim_member_append(sim, member, command, &update);

    if (ticket != 0 && taken && member->tickets_count < SIM_TICKETS_MAX) {
        member->tickets[member->tickets_count++] = (struct sim_ticket){
            .index = update.propose_first_index, .term = update.term, .ticket = ticket};
    } else if (ticket != 0) {
        struct command_result result = {.error = ERR_NOT_LEADER};
        controller_proposed(member->controller, ticket, &result);
    }
    sim_member_update(sim, member, &update);
}

bool sim_member_append(struct sim *sim,
                       struct sim_member *member,
                       const struct command *command,
                       struct raft_update *update_out)
{
    struct buf bytes = {0};

    wire_command_encode(command, &bytes);
    struct blob *payload = blob_new(buf_view(&bytes));
    buf_deinit(&bytes);
    struct raft_proposal proposal = {.kind = RAFT_ENTRY_COMMAND, .payload = payload};
    struct raft_event event = {.type = RAFT_EVENT_PROPOSE,
                               .now_ms = sim_member_local_ms(sim, member),
                               .propose = {.proposals = &proposal, .count = 1}};
    raft_step(member->raft, &event, update_out);
    blob_unref(payload);
    return update_out->propose_error == ERR_OK;
}

uint64_t sim_member_local_ms(const struct sim *sim, const struct sim_member *member)
{
    return sim_clock_read(sim, member->node) / SIM_MS;
}

void sim_member_step(struct sim *sim, struct sim_member *member, struct raft_event *event)
{
    struct raft_update update;

    event->now_ms = sim_member_local_ms(sim, member);
    raft_step(member->raft, event, &update);
    sim_member_update(sim, member, &update);
}

void sim_member_update(struct sim *sim, struct sim_member *member, const struct raft_update *update)
{
    if (update->write.seq != 0) {
        uint64_t done_us = sim_store_write(&member->store, &update->write, sim->now_us);
        uint64_t number = member->generation << GENERATION_SHIFT | update->write.seq;
        sim_at(sim,
               done_us,
               (struct sim_item){.kind = EV_MEMBER_DISK, .node = member->node, .number = number});
    }
    for (uint32_t i = 0; i < update->messages_count; i++) {
        send_message(sim, &update->messages[i]);
    }
    bool stays =
        update->role == RAFT_LEADER && member->role == RAFT_LEADER && update->term == member->term;
    if (!stays && member->elected) {
        member->elected = false;
        member->tickets_count = 0;
        controller_stepped_down(member->controller);
        sim_member_drop_sessions(sim, member);
    }
    if (!stays && update->role == RAFT_LEADER) {
        sim_trace(sim, "member %u leads term %" PRIu64, member->node, update->term);
    }
    if (update->configuration_changed) {
        sim_voices_know(sim, member);
    }
    member->role = update->role;
    member->term = update->term;
    member->leader = update->leader;
    sim_check_leader(sim, member);
    for (uint32_t i = 0; i < update->reads_count; i++) {
        const struct raft_read_ready *read = &update->reads[i];
        if (sim_serve_is_read(read->read_id)) {
            sim_serve_read_ready(sim, member, read->read_id, read->index, read->confirmed);
        } else {
            controller_read_ready(member->controller, read->read_id, read->index, read->confirmed);
        }
    }
    sim_member_apply(sim, member, update->commit);
    sim_member_file_update(sim, member, update);
    arm_timer(sim, member, update->next_deadline_ms);
}

/* The log is dead: the process ends before it can promise anything, and is started again. */
static void die(struct sim *sim, struct sim_member *member, const struct reason *reason)
{
    sim_trace(sim, "member %u dies: %s", member->node, reason->text);
    sim_member_crash(sim, member, false, true);
    sim_after(sim,
              prng_between(&sim->faults, 100, 3000) * SIM_MS,
              (struct sim_item){.kind = EV_MEMBER_START, .node = member->node});
}

static void send_message(struct sim *sim, const struct raft_message *message)
{
    uint64_t delays_us[SIM_COPIES_MAX];
    uint32_t to = sim_node_of(message->to);
    uint32_t copies = sim_net_plan(&sim->net, sim_node_of(message->from), to, delays_us);

    for (uint32_t i = 0; i < copies; i++) {
        struct raft_message *copy = mem_dup(message, sizeof(*message));
        if (message->type == RAFT_APPEND && message->append.entries_count > 0) {
            uint32_t count = message->append.entries_count;
            copy->append.entries =
                mem_dup(message->append.entries, count * sizeof(struct raft_entry));
            for (uint32_t k = 0; k < count; k++) {
                (void)blob_ref(copy->append.entries[k].payload);
            }
        } else if (message->type == RAFT_INSTALL_SNAPSHOT) {
            (void)blob_ref(copy->install_snapshot.chunk);
        }
        sim_after(sim,
                  delays_us[i],
                  (struct sim_item){.kind = EV_MEMBER_RECEIVE, .node = to, .data = copy});
    }
}

static void settle(struct sim *sim, struct sim_member *member)
{
    static struct controller_output output;

    for (;;) {
        if (member->applied_told < member->applied) {
            struct apply_position position;
            apply_position(&member->tables, &position);
            member->applied_told = member->applied;
            struct raft_event event = {
                .type = RAFT_EVENT_APPLIED,
                .applied = {.index = member->applied, .state_hash = position.state_hash},
            };
            sim_member_step(sim, member, &event);
            continue;
        }
        if (!member->elected ||
            !controller_next(member->controller, sim_member_local_ms(sim, member), &output)) {
            break;
        }
        sim_member_output(sim, member, &output);
    }
    sim_member_found(sim, member);
}

void sim_member_settle(struct sim *sim, struct sim_member *member)
{
    settle(sim, member);
}

void sim_member_read(struct sim *sim, struct sim_member *member, uint64_t read_id)
{
    struct raft_event event = {.type = RAFT_EVENT_READ, .read_id = read_id};

    sim_member_step(sim, member, &event);
}

static void arm_timer(struct sim *sim, struct sim_member *member, uint64_t deadline_ms)
{
    uint64_t local_us = deadline_ms > UINT64_MAX / SIM_MS ? UINT64_MAX : deadline_ms * SIM_MS;
    uint64_t at_us =
        local_us == UINT64_MAX ? UINT64_MAX : sim_clock_when(sim, member->node, local_us);

    if (member->elected && at_us > sim->now_us + CONTROLLER_TICK_MS * SIM_MS) {
        at_us = sim->now_us + CONTROLLER_TICK_MS * SIM_MS;
    }
    if (at_us == UINT64_MAX || (member->timer_at_us != 0 && member->timer_at_us <= at_us)) {
        return;
    }
    member->timer_at_us = at_us > sim->now_us ? at_us : sim->now_us + 1;
    sim_at(sim,
           member->timer_at_us,
           (struct sim_item){
               .kind = EV_MEMBER_TIMER, .node = member->node, .number = member->generation});
}
