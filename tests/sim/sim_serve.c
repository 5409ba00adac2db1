/* SPDX-License-Identifier: Apache-2.0 */
/* A member's side of the key-value clients: writes through the log, reads by read index, on the
 * leader or on a member that asks the leader for its index. src/etcd/etcd_* in miniature. */
#include "tests/sim/sim_client.h"

#include "tests/sim/sim_world.h"

#include "base/check.h"
#include "base/mem.h"

#include <string.h>

/* Read ids of these reads; the controller's have not this bit. */
#define READ_BIT (UINT64_C(1) << 63)

static void serve_write(struct sim *sim, struct sim_member *member, const struct sim_ask *ask);
static void serve_read(struct sim *sim, struct sim_member *member, const struct sim_ask *ask);
static void keep_effect(struct sim *sim,
                        uint64_t index,
                        uint64_t term,
                        const struct command_result *result,
                        struct slice replies);
static struct sim_wait *
wait_add(struct sim_member *member, enum sim_wait_stage stage, const struct sim_ask *ask);
static struct sim_wait *wait_of_read(struct sim_member *member, uint64_t read_id);
static void read_at(struct sim *sim, struct sim_member *member, struct sim_wait *wait);
static void wait_end(struct sim_member *member, struct sim_wait *wait);
static void answer(struct sim *sim,
                   const struct sim_member *member,
                   const struct sim_ask *ask,
                   struct sim_answer answer);
static void send(struct sim *sim, const struct sim_member *from, uint32_t to, struct sim_item item);
static void send_index(struct sim *sim,
                       const struct sim_member *from,
                       uint32_t to,
                       enum sim_event_kind kind,
                       struct sim_index index);

void sim_serve_ask(struct sim *sim, struct sim_member *member, const struct sim_ask *ask)
{
    if (!member->up) {
        return;
    }
    if (member->waits.count == SIM_WAITS_MAX) {
        answer(sim, member, ask, (struct sim_answer){.outcome = LIN_FAIL});
    } else if (ask->kind == ASK_GET) {
        serve_read(sim, member, ask);
    } else {
        serve_write(sim, member, ask);
    }
    sim_member_settle(sim, member);
}

void sim_serve_index_asked(struct sim *sim, struct sim_member *member, const struct sim_index *ask)
{
    if (!member->up) {
        return;
    }
    if (member->role != RAFT_LEADER || member->waits.count == SIM_WAITS_MAX) {
        struct sim_index refusal = {.read_id = ask->read_id};
        send_index(sim, member, ask->from, EV_KEYS_INDEX, refusal);
        return;
    }
    struct sim_wait *wait = wait_add(member, WAIT_FORWARDED, NULL);
    wait->from = ask->from;
    wait->read_id = ask->read_id;
    sim_member_read(sim, member, ask->read_id);
    sim_member_settle(sim, member);
}

void sim_serve_index(struct sim *sim, struct sim_member *member, const struct sim_index *index)
{
    struct sim_wait *wait = wait_of_read(member, index->read_id);

    if (!member->up || wait == NULL || wait->stage != WAIT_INDEX) {
        return;
    }
    if (index->index == 0) {
        answer(sim, member, &wait->ask, (struct sim_answer){.outcome = LIN_FAIL});
        wait_end(member, wait);
        return;
    }
    wait->index = index->index;
    read_at(sim, member, wait);
}

bool sim_serve_is_read(uint64_t read_id)
{
    return (read_id & READ_BIT) != 0;
}

void sim_serve_read_ready(
    struct sim *sim, struct sim_member *member, uint64_t read_id, uint64_t index, bool confirmed)
{
    struct sim_wait *wait = wait_of_read(member, read_id);

    if (wait == NULL) {
        return;
    }
    if (wait->stage == WAIT_FORWARDED) {
        struct sim_index found = {.read_id = read_id, .index = confirmed ? index : 0};
        send_index(sim, member, wait->from, EV_KEYS_INDEX, found);
        wait_end(member, wait);
    } else if (!confirmed) {
        answer(sim, member, &wait->ask, (struct sim_answer){.outcome = LIN_FAIL});
        wait_end(member, wait);
    } else {
        wait->index = index;
        read_at(sim, member, wait);
    }
}

bool sim_serve_wants(const struct sim *sim, const struct sim_member *member, uint64_t index)
{
    if (index > sim->applied_count) {
        return true;
    }
    for (uint32_t i = 0; i < member->waits.count; i++) {
        const struct sim_wait *wait = &member->waits.all[i];
        if (wait->stage == WAIT_COMMIT && wait->index == index) {
            return true;
        }
    }
    return false;
}

void sim_serve_applied(struct sim *sim,
                       struct sim_member *member,
                       uint64_t index,
                       uint64_t term,
                       const struct command_result *result,
                       struct slice replies)
{
    keep_effect(sim, index, term, result, replies);
    for (uint32_t i = member->waits.count; i > 0; i--) {
        struct sim_wait *wait = &member->waits.all[i - 1];
        if (wait->stage == WAIT_APPLIED && wait->index <= index) {
            read_at(sim, member, wait);
        } else if (wait->stage == WAIT_COMMIT && wait->index == index) {
            /* Another term's entry in its place: it can never be committed. */
            answer(sim,
                   member,
                   &wait->ask,
                   wait->term == term ? sim_ask_decode(&wait->ask, result, replies)
                                      : (struct sim_answer){.outcome = LIN_FAIL});
            wait_end(member, wait);
        }
    }
}

void sim_serve_installed(struct sim *sim, struct sim_member *member)
{
    for (uint32_t i = member->waits.count; i > 0; i--) {
        struct sim_wait *wait = &member->waits.all[i - 1];
        if (wait->stage == WAIT_APPLIED && wait->index <= member->applied) {
            read_at(sim, member, wait);
        } else if (wait->stage == WAIT_COMMIT && wait->index <= member->applied) {
            wait_end(member, wait);
        }
    }
}

static void serve_write(struct sim *sim, struct sim_member *member, const struct sim_ask *ask)
{
    static struct command command;
    struct raft_update update;
    struct buf batch = {0};

    sim_ask_encode(ask, &batch);
    memset(&command, 0, sizeof(command));
    command.kind = COMMAND_KV;
    command.leader_term = member->term;
    command.wall_ms = sim->now_us / SIM_MS;
    command.kv.batch = buf_view(&batch);
    if (sim_member_append(sim, member, &command, &update)) {
        struct sim_wait *wait = wait_add(member, WAIT_COMMIT, ask);
        wait->index = update.propose_first_index;
        wait->term = update.term;
        sim_client_appended(sim, ask, wait->index, wait->term);
        if (sim->mutant == MUTANT_ACK_EARLY && ask->kind == ASK_PUT) {
            answer(sim, member, ask, (struct sim_answer){.outcome = LIN_OK, .succeeded = true});
        }
    } else {
        answer(sim, member, ask, (struct sim_answer){.outcome = LIN_FAIL});
    }
    buf_deinit(&batch);
    sim_member_update(sim, member, &update);
}

static void serve_read(struct sim *sim, struct sim_member *member, const struct sim_ask *ask)
{
    uint32_t leader = sim_node_of(member->leader);

    if (leader == 0) {
        answer(sim, member, ask, (struct sim_answer){.outcome = LIN_FAIL});
        return;
    }
    struct sim_wait *wait = wait_add(member, WAIT_INDEX, ask);
    wait->read_id = READ_BIT | ++sim->clients.read_id_last;
    if (member->role != RAFT_LEADER) {
        struct sim_index question = {.from = member->node, .read_id = wait->read_id};
        send_index(sim, member, leader, EV_KEYS_INDEX_ASKED, question);
    } else if (sim->mutant == MUTANT_READ_UNCONFIRMED) {
        wait->index = member->applied;
        read_at(sim, member, wait);
    } else {
        sim_member_read(sim, member, wait->read_id);
    }
}

/* What came of an appended write, by whoever applies it first. Only writes of keys have replies. */
static void keep_effect(struct sim *sim,
                        uint64_t index,
                        uint64_t term,
                        const struct command_result *result,
                        struct slice replies)
{
    struct sim_clients *clients = &sim->clients;

    for (uint32_t i = replies.len > 0 ? clients->effects_count : 0; i > 0; i--) {
        struct sim_effect *effect = &clients->effects[i - 1];
        if (effect->index == index && effect->term == term && effect->applied_us == 0) {
            effect->applied_us = sim->now_us;
            effect->result = sim_ask_decode(&effect->ask, result, replies);
            return;
        }
    }
}

static struct sim_wait *
wait_add(struct sim_member *member, enum sim_wait_stage stage, const struct sim_ask *ask)
{
    CHECK(member->waits.count < SIM_WAITS_MAX);
    struct sim_wait *wait = &member->waits.all[member->waits.count++];

    *wait = (struct sim_wait){.stage = stage};
    if (ask != NULL) {
        wait->ask = *ask;
    }
    return wait;
}

static struct sim_wait *wait_of_read(struct sim_member *member, uint64_t read_id)
{
    for (uint32_t i = 0; i < member->waits.count; i++) {
        if (member->waits.all[i].read_id == read_id) {
            return &member->waits.all[i];
        }
    }
    return NULL;
}

/* Answers if the state has reached the index, or else waits for it. */
static void read_at(struct sim *sim, struct sim_member *member, struct sim_wait *wait)
{
    wait->stage = WAIT_APPLIED;
    if (member->applied < wait->index && sim->mutant != MUTANT_READ_BEHIND) {
        return;
    }
    struct sim_answer found = {.outcome = LIN_OK, .succeeded = true};
    found.seen[0] = sim_ask_value(&member->tables, wait->ask.keys[0]);
    answer(sim, member, &wait->ask, found);
    wait_end(member, wait);
}

static void wait_end(struct sim_member *member, struct sim_wait *wait)
{
    *wait = member->waits.all[--member->waits.count];
}

static void answer(struct sim *sim,
                   const struct sim_member *member,
                   const struct sim_ask *ask,
                   struct sim_answer reply)
{
    reply.client = ask->client;
    reply.serial = ask->serial;
    reply.leader = sim_node_of(member->leader);
    send(sim,
         member,
         SIM_CLIENT_NODE,
         (struct sim_item){.kind = EV_KEYS_ANSWER, .data = mem_dup(&reply, sizeof(reply))});
}

static void send_index(struct sim *sim,
                       const struct sim_member *from,
                       uint32_t to,
                       enum sim_event_kind kind,
                       struct sim_index index)
{
    send(sim,
         from,
         to,
         (struct sim_item){.kind = kind, .node = to, .data = mem_dup(&index, sizeof(index))});
}

/* A lost message is a connection that broke: nobody hears of it but by waiting. */
static void send(struct sim *sim, const struct sim_member *from, uint32_t to, struct sim_item item)
{
    uint64_t delays_us[SIM_COPIES_MAX];

    if (sim_net_plan(&sim->net, from->node, to, delays_us) > 0) {
        sim_after(sim, delays_us[0], item);
    } else {
        mem_free(item.data);
    }
}
