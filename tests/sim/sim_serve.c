/* SPDX-License-Identifier: Apache-2.0 */
/* A member's side of the key-value clients: writes through the log, reads by read index, on the
 * leader or on a member that asks the leader for its index, all
 * through the port of its node, as src/etcd does. Where that is (etcd_writes.c, etcd_reads.c,
 * etcd_forward.c) is more about batches than about what may be answered. */
#include "tests/sim/sim_client.h"

#include "tests/sim/sim_world.h"

#include "base/check.h"
#include "base/mem.h"
#include "node/node_internal.h"

#include <string.h>

enum {
    EXPIRES_MS = 3000, /* what was not proposed by then is not any more */
};

static void serve_write(struct sim *sim, struct sim_member *member, const struct sim_ask *ask);
static void on_written(const struct node_port_answer *given, void *ctx);
static void serve_read(struct sim *sim, struct sim_member *member, const struct sim_ask *ask);
static void on_index(const struct node_port_answer *given, void *ctx);
static void on_forwarded(const struct node_port_answer *given, void *ctx);
static void look(const struct tables *tables, void *ctx);
static void on_looked(const struct node_port_answer *given, void *ctx);
static struct node_port_waiter then(node_port_done_fn done, struct sim_wait *wait);
static void on_leader_changed(void *ctx);
static void on_applied(const struct node_port_applied *applied, void *ctx);
static struct sim_wait *wait_new(struct sim_member *member, const struct sim_ask *ask);
static void wait_end(struct sim_wait *wait);
static void fail(struct sim_wait *wait);
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
    if (member->waits.count == SIM_WAITS_MAX || node_is_quarantined(member->core)) {
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
    struct sim_wait *wait = wait_new(member, NULL);
    wait->from = ask->from;
    wait->read_id = ask->read_id;
    node_port_read(member->port, then(on_forwarded, wait));
    sim_member_settle(sim, member);
}

void sim_serve_index(struct sim *sim, struct sim_member *member, const struct sim_index *index)
{
    struct sim_wait *wait = NULL;

    if (!member->up) {
        return;
    }
    TAILQ_FOREACH(wait, &member->waits.all, others)
    {
        if (wait->from == 0 && wait->read_id == index->read_id) {
            break;
        }
    }
    if (wait == NULL) {
        return;
    }
    wait->read_id = 0;
    if (index->index == 0) {
        fail(wait);
    } else if (sim->mutant == MUTANT_READ_BEHIND) {
        node_port_query(member->port, look, then(on_looked, wait));
    } else {
        node_port_read_at(member->port, index->index, then(on_index, wait));
    }
    sim_member_settle(sim, member);
}

/* Two clients may ask for the same: whoever asked first is meant, since they are appended in the
 * order in which they were asked. */
void sim_serve_appended(struct sim *sim,
                        struct sim_member *member,
                        const struct raft_entry *entry,
                        struct slice batch)
{
    struct sim_wait *wait = NULL;

    TAILQ_FOREACH(wait, &member->waits.all, others)
    {
        if (wait->batch.len == batch.len && batch.len > 0 && !wait->appended &&
            memcmp(wait->batch.data, batch.data, batch.len) == 0) {
            wait->appended = true;
            sim_client_appended(sim, &wait->ask, entry->index, entry->term);
            if (sim->mutant == MUTANT_ACK_EARLY && wait->ask.kind == ASK_PUT) {
                answer(sim,
                       member,
                       &wait->ask,
                       (struct sim_answer){.outcome = LIN_OK, .succeeded = true});
            }
            return;
        }
    }
}

/* By whoever applies it first. Only writes of keys have replies. */
void sim_serve_effect(struct sim *sim, const struct applier_result *result)
{
    struct sim_clients *clients = &sim->clients;

    for (uint32_t i = result->replies.len > 0 ? clients->effects_count : 0; i > 0; i--) {
        struct sim_effect *effect = &clients->effects[i - 1];
        if (effect->index == result->index && effect->term == result->term &&
            effect->applied_us == 0) {
            effect->applied_us = sim->now_us;
            effect->result = sim_ask_decode(&effect->ask, &result->result, result->replies);
            return;
        }
    }
}

void sim_serve_open(struct sim_member *member)
{
    member->port = node_port_open(member->core);
    member->told = (struct node_port_applied){0};
    member->observer = (struct node_port_observer){
        .on_leader_changed = on_leader_changed, .on_applied = on_applied, .ctx = member};
    node_port_observe(member->port, &member->observer);
}

void sim_serve_close(struct sim_member *member)
{
    node_port_unobserve(member->port, &member->observer);
    node_port_close(member->port);
    member->port = NULL;
}

void sim_serve_drop(struct sim_member *member)
{
    while (!TAILQ_EMPTY(&member->waits.all)) {
        wait_end(TAILQ_FIRST(&member->waits.all));
    }
}

static void serve_write(struct sim *sim, struct sim_member *member, const struct sim_ask *ask)
{
    struct sim_wait *wait = wait_new(member, ask);

    sim_ask_encode(ask, &wait->batch);
    node_port_propose_keys(member->port,
                           buf_view(&wait->batch),
                           sim_member_local_ms(sim, member) + EXPIRES_MS,
                           then(on_written, wait));
}

static void on_written(const struct node_port_answer *given, void *ctx)
{
    struct sim_wait *wait = ctx;
    struct sim_member *member = wait->member;

    if (given->error == ERR_OK) {
        answer(member->sim,
               member,
               &wait->ask,
               sim_ask_decode(&wait->ask, given->result, given->replies));
    } else if (given->error != ERR_OUTCOME_UNKNOWN) {
        fail(wait);
        return;
    }
    wait_end(wait);
}

static void serve_read(struct sim *sim, struct sim_member *member, const struct sim_ask *ask)
{
    uint32_t leader = sim_node_of(member->leader);

    if (leader == 0) {
        answer(sim, member, ask, (struct sim_answer){.outcome = LIN_FAIL});
        return;
    }
    struct sim_wait *wait = wait_new(member, ask);
    if (member->role != RAFT_LEADER) {
        wait->read_id = ++sim->clients.read_id_last;
        struct sim_index question = {.from = member->node, .read_id = wait->read_id};
        send_index(sim, member, leader, EV_KEYS_INDEX_ASKED, question);
    } else if (sim->mutant == MUTANT_READ_UNCONFIRMED) {
        node_port_query(member->port, look, then(on_looked, wait));
    } else {
        node_port_read(member->port, then(on_index, wait));
    }
}

static void on_index(const struct node_port_answer *given, void *ctx)
{
    struct sim_wait *wait = ctx;

    if (given->error == ERR_OK) {
        node_port_query(wait->member->port, look, then(on_looked, wait));
    } else {
        fail(wait);
    }
}

static void on_forwarded(const struct node_port_answer *given, void *ctx)
{
    struct sim_wait *wait = ctx;
    struct sim_index found = {.read_id = wait->read_id,
                              .index = given->error == ERR_OK ? given->index : 0};

    send_index(wait->member->sim, wait->member, wait->from, EV_KEYS_INDEX, found);
    wait_end(wait);
}

static void look(const struct tables *tables, void *ctx)
{
    struct sim_wait *wait = ctx;
    wait->seen = sim_ask_value(tables, wait->ask.keys[0]);
}

static void on_looked(const struct node_port_answer *given, void *ctx)
{
    struct sim_wait *wait = ctx;
    struct sim_answer found = {.outcome = LIN_OK, .succeeded = true};

    CHECK(given->error == ERR_OK);
    if (wait->member->up) {
        found.seen[0] = wait->seen;
        answer(wait->member->sim, wait->member, &wait->ask, found);
        wait_end(wait);
    }
}

static struct node_port_waiter then(node_port_done_fn done, struct sim_wait *wait)
{
    return (struct node_port_waiter){.done = done, .ctx = wait};
}

static void on_leader_changed(void *ctx)
{
    const struct sim_member *member = ctx;
    const struct node_office office = node_port_office(member->port);

    if (office.leads != (member->core->role == RAFT_LEADER)) {
        sim_fail(member->sim, "member %u is told of another leader than it has", member->node);
    }
}

/* Once, in order. */
static void on_applied(const struct node_port_applied *applied, void *ctx)
{
    struct sim_member *member = ctx;

    if (applied->index < member->told.index || applied->revision < member->told.revision ||
        applied->compacted < member->told.compacted) {
        sim_fail(member->sim, "member %u tells of what was applied backwards", member->node);
    }
    member->told = *applied;
}

static struct sim_wait *wait_new(struct sim_member *member, const struct sim_ask *ask)
{
    struct sim_wait *wait = mem_new(sizeof(*wait));

    CHECK(member->waits.count < SIM_WAITS_MAX);
    wait->member = member;
    if (ask != NULL) {
        wait->ask = *ask;
    }
    TAILQ_INSERT_TAIL(&member->waits.all, wait, others);
    member->waits.count++;
    return wait;
}

static void wait_end(struct sim_wait *wait)
{
    TAILQ_REMOVE(&wait->member->waits.all, wait, others);
    wait->member->waits.count--;
    buf_deinit(&wait->batch);
    mem_free(wait);
}

static void fail(struct sim_wait *wait)
{
    answer(wait->member->sim, wait->member, &wait->ask, (struct sim_answer){.outcome = LIN_FAIL});
    wait_end(wait);
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
