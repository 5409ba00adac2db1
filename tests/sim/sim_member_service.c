/* SPDX-License-Identifier: Apache-2.0 */
/* A coordinator's dealings with sidecars: their sessions, what its node says to them, and the
 * shards that an operator would create. */
#include "tests/sim/sim_world.h"

#include "base/check.h"
#include "base/mem.h"
#include "state/query.h"

#include <inttypes.h>
#include <stdio.h>
#include <string.h>

enum {
    FOUND_AGAIN_US = 1000 * SIM_MS,
    SESSION_SILENT_US = 5000 * SIM_MS,
    UUID_VERSION_7 = 0x7000,
};

static struct sim_session *session_find(struct sim_member *member, uint64_t id, uint32_t stream);
static void session_end(struct sim *sim, struct sim_member *member, uint32_t stream);
static void
send(struct sim *sim, struct sim_member *member, uint64_t session, struct sim_body body);
static void on_output(const struct controller_output *output, void *ctx);
static void on_stepped_down(void *ctx);
static void propose_shard(struct sim *sim, struct sim_member *member, uint32_t number);

void sim_member_message(struct sim *sim,
                        struct sim_member *member,
                        uint32_t stream,
                        const struct sim_body *body)
{
    char message[TEXT_SIZE] = "";
    uint64_t now_ms = sim_clock_read(sim, member->node) / SIM_MS;
    enum error error = ERR_NOT_LEADER;

    if (!member->up) {
        return;
    }
    struct sim_session *session = session_find(member, 0, stream);
    if (session != NULL) {
        session->heard_us = sim->now_us;
    }
    if (body->kind == BODY_HELLO && member->elected && member->sessions_count < SIM_SESSIONS_MAX) {
        uint64_t id = ++member->session_last;
        error = controller_hello(node_controller(member->core), id, &body->hello, message);
        if (error == ERR_OK) {
            member->sessions[member->sessions_count++] =
                (struct sim_session){.id = id, .stream = stream, .heard_us = sim->now_us};
        }
    } else if (session != NULL && body->kind == BODY_REPORT) {
        error =
            controller_report(node_controller(member->core), session->id, &body->report, now_ms);
        if (error == ERR_OK) {
            sim_superuser_told(
                sim, member, body, sim_instance_of_node(sim, sim->streams[stream].a)->number);
        }
    } else if (session != NULL && body->kind == BODY_RENEWAL) {
        error = controller_renewal(node_controller(member->core), session->id, &body->renewal);
    } else if (session != NULL && body->kind == BODY_PING) {
        error = ERR_OK;
        sim_stream_send(sim, stream, false, (struct sim_body){.kind = BODY_PING});
    }
    if (error != ERR_OK) {
        if (session != NULL) {
            controller_session_closed(node_controller(member->core), session->id, now_ms);
        }
        session_end(sim, member, stream);
    }
    node_pump(member->core);
    sim_member_settle(sim, member);
}

void sim_member_closed(struct sim *sim, struct sim_member *member, uint32_t stream)
{
    struct sim_session *session = session_find(member, 0, stream);

    if (!member->up || session == NULL) {
        return;
    }
    uint64_t id = session->id;
    *session = member->sessions[--member->sessions_count];
    controller_session_closed(
        node_controller(member->core), id, sim_clock_read(sim, member->node) / SIM_MS);
    node_pump(member->core);
    sim_member_settle(sim, member);
}

void sim_member_drop_sessions(struct sim *sim, struct sim_member *member)
{
    while (member->sessions_count > 0) {
        session_end(sim, member, member->sessions[member->sessions_count - 1].stream);
    }
}

void sim_member_attach(struct sim_member *member)
{
    node_set_sessions(member->core,
                      &(struct node_sessions){.on_output = on_output,
                                              .on_stepped_down = on_stepped_down,
                                              .ctx = member});
}

static void on_stepped_down(void *ctx)
{
    struct sim_member *member = ctx;
    sim_member_drop_sessions(member->sim, member);
}

static void on_output(const struct controller_output *output, void *ctx)
{
    struct sim_member *member = ctx;
    struct sim *sim = member->sim;
    struct sim_body body = {0};

    switch (output->kind) {
    case CONTROLLER_PROPOSE:
    case CONTROLLER_READ:
        UNREACHABLE("the node does it");
    case CONTROLLER_WELCOME:
        body.kind = BODY_WELCOME;
        body.welcome.instance = output->welcome.instance;
        body.welcome.cluster = output->welcome.cluster;
        break;
    case CONTROLLER_GOAL:
        body.kind = BODY_GOAL;
        body.goal = output->goal;
        break;
    case CONTROLLER_RENEWAL_ANSWER:
        body.kind = BODY_ANSWER;
        body.answer = output->renewal_answer;
        break;
    case CONTROLLER_CLOSE: {
        struct sim_session *session = session_find(member, output->session, 0);
        if (session != NULL) {
            session_end(sim, member, session->stream);
        }
        return;
    }
    }
    send(sim, member, output->session, body);
}

/* What an operator does once: create the shards. Also ends sessions in which
 * nothing was heard for long, as keep-alives do. */
void sim_member_found(struct sim *sim, struct sim_member *member)
{
    struct cluster_info info;

    if (!member->elected || sim->now_us < member->found_at_us) {
        return;
    }
    member->found_at_us = sim->now_us + FOUND_AGAIN_US;
    for (uint32_t i = 0; i < member->sessions_count; i++) {
        struct sim_session session = member->sessions[i];
        if (sim->now_us - session.heard_us > SESSION_SILENT_US) {
            controller_session_closed(node_controller(member->core),
                                      session.id,
                                      sim_clock_read(sim, member->node) / SIM_MS);
            session_end(sim, member, session.stream);
        }
    }
    query_cluster(&member->tables, &info);
    if (info.cluster.hi == 0 && info.cluster.lo == 0) {
        return; /* the node itself founds it */
    }
    if (info.shards_count < sim->shards_count) {
        propose_shard(sim, member, info.shards_count + 1);
    } else if (sim->swarm.measured_us == 0) {
        sim_keys_propose(sim, member);
    }
}

static struct sim_session *session_find(struct sim_member *member, uint64_t id, uint32_t stream)
{
    for (uint32_t i = 0; i < member->sessions_count; i++) {
        if (id != 0 ? member->sessions[i].id == id : member->sessions[i].stream == stream) {
            return &member->sessions[i];
        }
    }
    return NULL;
}

static void session_end(struct sim *sim, struct sim_member *member, uint32_t stream)
{
    struct sim_session *session = session_find(member, 0, stream);

    if (session != NULL) {
        *session = member->sessions[--member->sessions_count];
    }
    sim_stream_close(sim, stream, false, true);
}

static void
send(struct sim *sim, struct sim_member *member, uint64_t session_id, struct sim_body body)
{
    const struct sim_session *session = session_find(member, session_id, 0);

    if (session != NULL) {
        sim_stream_send(sim, session->stream, false, body);
    }
}

static void propose_shard(struct sim *sim, struct sim_member *member, uint32_t number)
{
    static struct command command;
    const struct sim_shard *own = &sim->shards[number];

    memset(&command, 0, sizeof(command));
    command.kind = COMMAND_SHARD_CREATE;
    /* The same id each time: a request is applied at most once. */
    command.request.hi = (uint64_t)(1000 + number) << 16 | UUID_VERSION_7;
    command.request.lo = UINT64_C(1) << 63 | number;
    memcpy(command.actor, "operator", sizeof("operator"));
    struct shard *spec = &command.shard_create.spec;
    (void)snprintf(spec->name, NAME_SIZE, "s%u", number);
    spec->kind = SHARD_POSTGRES;
    spec->mode = own->mode;
    spec->rto_ms = 5000;
    spec->rpo_ms = own->mode == SHARD_ASYNC ? 10000 : 0;
    spec->sync_required = own->mode == SHARD_SYNC ? own->required : 0;
    sim_member_propose(member, &command);
}
