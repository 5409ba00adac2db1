/* SPDX-License-Identifier: Apache-2.0 */
/* Connections between members (sim_pipe.h). Handshakes, pings and questions keep their order and
 * arrive, or the connection ends; Raft's own messages are lost, doubled and overtake each other. */
#include "tests/sim/sim_world.h"

#include "base/check.h"
#include "base/mem.h"
#include "node/node_internal.h"
#include "peers/peers_internal.h"

#include <stdio.h>
#include <string.h>

enum {
    DIAL_US = 2000 * SIM_MS,
    STUCK_US = 5000 * SIM_MS, /* TCP_USER_TIMEOUT */
    IDLE_US = 15000 * SIM_MS, /* keep-alives find that nobody is there */
    RESEND_US = 200 * SIM_MS,
    PAUSE_US = 20 * SIM_MS,
};

static const char IDENTITY[] = "spiffe://sim";

static struct sim_parcel *parcel_new(struct peer_conn *to, enum sim_parcel_kind kind, size_t len);
static void parcel_after(struct sim *sim, uint64_t delay_us, struct sim_parcel *parcel);
static void parcel_send(struct sim *sim, struct sim_parcel *parcel);
static void pipe_unref(struct sim *sim, struct sim_pipe *pipe);
static struct peer_conn *other_end(struct peer_conn *conn);
static void let_go(struct sim *sim, struct peer_conn *conn);
static void tell_end(struct sim *sim, struct peer_conn *to, bool refused, const char *why);
static void deliver(struct sim *sim, struct sim_member *member, struct sim_parcel *parcel);
static void dialled(struct sim *sim, struct sim_member *member, struct peer_conn *conn);
static void frame(struct sim *sim, struct sim_member *member, const struct sim_parcel *parcel);
static void closed(struct sim *sim, struct peer_conn *conn, const struct sim_parcel *parcel);
static bool is_held(const struct sim_member *member, const struct peer_conn *conn);

void sim_pipe_identify(struct peer_conn *conn, const char *name)
{
    (void)snprintf(conn->identity, SIM_IDENTITY_SIZE, "%s/member/%s", IDENTITY, name);
}

struct sim_pipe *sim_pipe_new(struct sim *sim, uint32_t from, uint32_t to, uint32_t incarnation)
{
    struct sim_pipe *pipe = mem_new(sizeof(*pipe));

    pipe->sim = sim;
    pipe->incarnation = incarnation;
    for (uint32_t i = 0; i < 2; i++) {
        pipe->ends[i].pipe = pipe;
    }
    pipe->ends[0].node = from;
    pipe->ends[0].there = true;
    pipe->ends[1].node = to;
    pipe->refs = 1;
    TAILQ_INSERT_TAIL(&sim->pipes, pipe, others);
    return pipe;
}

void sim_pipe_dial(struct sim *sim, struct sim_pipe *pipe)
{
    parcel_after(sim, DIAL_US, parcel_new(&pipe->ends[0], PARCEL_TOO_LATE, 0));
    parcel_send(sim, parcel_new(&pipe->ends[1], PARCEL_DIALLED, 0));
}

enum error
sim_pipe_write(struct sim *sim, struct peer_conn *conn, uint8_t type, struct slice payload)
{
    if (conn->closing || !conn->there) {
        return ERR_CLOSED;
    }
    struct sim_parcel *parcel = parcel_new(other_end(conn), PARCEL_FRAME, payload.len);
    parcel->type = type;
    memcpy(parcel->bytes, payload.data, payload.len);
    parcel_send(sim, parcel);
    return ERR_OK;
}

void sim_pipe_close(struct sim *sim, struct peer_conn *conn)
{
    if (!conn->closing) {
        conn->closing = true;
        struct sim_parcel *parcel = parcel_new(conn, PARCEL_CLOSED, 0);
        parcel->why = "closed here";
        parcel_after(sim, 1, parcel);
        tell_end(sim, other_end(conn), false, "eof");
    }
}

/* Of a process that ends, or of its links: nobody at this end is told anything any more. */
void sim_pipe_forget(struct sim *sim, struct peer_conn *conn, bool silent)
{
    if (!silent && !conn->closing) {
        tell_end(sim, other_end(conn), false, "eof");
    }
    let_go(sim, conn);
}

/* Keep-alives: of ends whose other one is gone without a word. */
void sim_pipe_tick(struct sim *sim, struct sim_member *member)
{
    struct sim_pipe *pipe = NULL;

    TAILQ_FOREACH(pipe, &sim->pipes, others)
    {
        for (uint32_t i = 0; i < 2; i++) {
            struct peer_conn *conn = &pipe->ends[i];
            if (is_held(member, conn) && conn->opened && !conn->closing &&
                !other_end(conn)->there && sim->now_us - conn->heard_us > IDLE_US) {
                conn->closing = true;
                struct sim_parcel *parcel = parcel_new(conn, PARCEL_CLOSED, 0);
                parcel->why = "timeout";
                parcel_after(sim, 1, parcel);
            }
        }
    }
}

void sim_pipe_parcel(struct sim *sim, struct sim_member *member, struct sim_parcel *parcel)
{
    struct peer_conn *conn = &parcel->pipe->ends[parcel->to];

    if (parcel->waits) {
        parcel->waits = false;
        bool of_a_kernel = parcel->kind == PARCEL_CLOSED && conn->there;
        if (of_a_kernel || other_end(conn)->there) {
            parcel_send(sim, parcel);
        } else {
            sim_pipe_drop(sim, parcel);
        }
        return;
    }
    if (member != NULL && member->up && member->paused) {
        /* All that it finds waiting it finds in order. */
        sim_at(sim,
               (sim->now_us / PAUSE_US + 1) * PAUSE_US,
               (struct sim_item){.kind = EV_PARCEL, .node = member->node, .data = parcel});
        return;
    }
    if (member != NULL) {
        deliver(sim, member, parcel);
        sim_member_settle(sim, member);
    }
    sim_pipe_drop(sim, parcel);
}

void sim_pipe_drop(struct sim *sim, struct sim_parcel *parcel)
{
    struct sim_pipe *pipe = parcel->pipe;

    mem_free(parcel);
    pipe_unref(sim, pipe);
}

void sim_pipe_stranger(struct sim *sim,
                       uint32_t target,
                       uint64_t at_us,
                       const struct raft_message *message)
{
    const struct sim_member *member = &sim->members[target];
    struct sim_pipe *pipe = sim_pipe_new(sim, SIM_CLIENT_NODE, target, member->incarnation);
    struct wire_handshake handshake = {.protocol_version = WIRE_PEER_PROTOCOL_VERSION,
                                       .cluster = member->store.cluster,
                                       .member = message->from,
                                       .process_incarnation = 1,
                                       .lane = WIRE_LANE_HEARTBEAT,
                                       .peer_address = "10.1.0.250:7401",
                                       .command_level = COMMAND_LEVEL,
                                       .names_members = true};
    struct buf words[2] = {{0}};

    (void)sim_voices_name(message->from, handshake.name);
    sim_pipe_identify(&pipe->ends[0], handshake.name);
    wire_handshake_encode(&handshake, &words[0]);
    wire_raft_message_encode(message, &words[1]);
    pipe->stranger = true;
    pipe->who = message->from;
    for (uint32_t i = 0; i < 3; i++) {
        struct slice word = i == 0 ? slice_of("", 0) : buf_view(&words[i - 1]);
        struct sim_parcel *parcel =
            parcel_new(&pipe->ends[1], i == 0 ? PARCEL_DIALLED : PARCEL_FRAME, word.len);
        parcel->type = i == 1 ? PEER_FRAME_HANDSHAKE : PEER_FRAME_RAFT;
        memcpy(parcel->bytes, word.data, word.len);
        parcel_after(sim, at_us - sim->now_us + i, parcel);
    }
    let_go(sim, &pipe->ends[0]);
    buf_deinit(&words[0]);
    buf_deinit(&words[1]);
}

struct peer_party sim_pipe_party(const struct peer_conn *conn)
{
    const struct peer_conn *other = &conn->pipe->ends[conn == &conn->pipe->ends[0]];

    return (struct peer_party){
        .identity = other->identity, .path = other->identity + sizeof(IDENTITY) - 1, .address = ""};
}

static struct sim_parcel *parcel_new(struct peer_conn *to, enum sim_parcel_kind kind, size_t len)
{
    struct sim_parcel *parcel = mem_new(sizeof(*parcel) + len);

    parcel->pipe = to->pipe;
    parcel->to = to == &to->pipe->ends[1];
    parcel->kind = kind;
    parcel->len = len;
    to->pipe->refs++;
    return parcel;
}

static void parcel_after(struct sim *sim, uint64_t delay_us, struct sim_parcel *parcel)
{
    uint32_t node = parcel->pipe->ends[parcel->to].node;
    sim_after(sim, delay_us, (struct sim_item){.kind = EV_PARCEL, .node = node, .data = parcel});
}

static void parcel_send(struct sim *sim, struct sim_parcel *parcel)
{
    struct sim_pipe *pipe = parcel->pipe;
    struct peer_conn *from = &pipe->ends[1 - parcel->to];
    uint32_t to = pipe->ends[parcel->to].node;
    bool loose = parcel->kind == PARCEL_FRAME && parcel->type == PEER_FRAME_RAFT;
    bool cut = sim->net.links[from->node][to].cut;
    struct sim_item item = {.kind = EV_PARCEL, .node = to, .data = parcel};
    uint64_t delays_us[SIM_COPIES_MAX];
    uint32_t copies = sim_net_plan(&sim->net, from->node, to, delays_us);

    from->stuck_us = cut ? from->stuck_us : 0;
    if (cut && from->stuck_us == 0) {
        from->stuck_us = sim->now_us;
    } else if (cut && sim->now_us - from->stuck_us > STUCK_US && from->there && !from->closing) {
        from->closing = true;
        tell_end(sim, from, false, "timeout");
    }
    if (loose && copies == 0) {
        sim_pipe_drop(sim, parcel);
        return;
    }
    if (copies == 0) {
        parcel->waits = true; /* sent again, until it arrives or the connection is over */
        parcel_after(sim, RESEND_US, parcel);
        return;
    }
    if (!loose) {
        uint64_t at_us = sim->now_us + delays_us[0];
        at_us = at_us > pipe->last_us[parcel->to] ? at_us : pipe->last_us[parcel->to];
        pipe->last_us[parcel->to] = at_us;
        sim_at(sim, at_us, item);
        return;
    }
    for (uint32_t i = 1; i < copies; i++) {
        pipe->refs++;
        struct sim_item again = item;
        again.data = mem_dup(parcel, sizeof(*parcel) + parcel->len);
        sim_after(sim, delays_us[i], again);
    }
    sim_after(sim, delays_us[0], item);
}

static void pipe_unref(struct sim *sim, struct sim_pipe *pipe)
{
    CHECK(pipe->refs > 0);
    pipe->refs--;
    if (pipe->refs == 0) {
        TAILQ_REMOVE(&sim->pipes, pipe, others);
        mem_free(pipe);
    }
}

static struct peer_conn *other_end(struct peer_conn *conn)
{
    return &conn->pipe->ends[conn == &conn->pipe->ends[0]];
}

static void let_go(struct sim *sim, struct peer_conn *conn)
{
    CHECK(conn->there);
    conn->there = false;
    pipe_unref(sim, conn->pipe);
}

/* By a word from the other end, or by its own machine. */
static void tell_end(struct sim *sim, struct peer_conn *to, bool refused, const char *why)
{
    struct sim_parcel *parcel = parcel_new(to, PARCEL_CLOSED, 0);

    parcel->refused = refused;
    parcel->why = why;
    if (to->closing) {
        parcel_after(sim, 1, parcel);
    } else {
        parcel_send(sim, parcel);
    }
}

static void deliver(struct sim *sim, struct sim_member *member, struct sim_parcel *parcel)
{
    struct peer_conn *conn = &parcel->pipe->ends[parcel->to];

    if (parcel->kind == PARCEL_DIALLED) {
        dialled(sim, member, conn);
        return;
    }
    if (!is_held(member, conn)) {
        if (parcel->kind == PARCEL_FRAME && !(member->silent && !member->up)) {
            tell_end(sim, other_end(conn), false, "reset");
        }
        return;
    }
    conn->heard_us = sim->now_us;
    switch (parcel->kind) {
    case PARCEL_DIALLED:
        return;
    case PARCEL_TOO_LATE:
        if (!conn->opened && !conn->closing) {
            const struct sim_parcel late = {.why = "timeout"};
            closed(sim, conn, &late);
        }
        return;
    case PARCEL_OPENED:
        if (!conn->closing) {
            conn->opened = true;
            peer_link_opened(conn->link);
        }
        return;
    case PARCEL_FRAME:
        frame(sim, member, parcel);
        return;
    case PARCEL_CLOSED:
        closed(sim, conn, parcel);
        return;
    }
}

/* Where nobody has that address, or the machine is off, there is no answer at all. */
static void dialled(struct sim *sim, struct sim_member *member, struct peer_conn *conn)
{
    struct peer_conn *dialler = other_end(conn);

    if ((!dialler->there && !conn->pipe->stranger) ||
        conn->pipe->incarnation != member->incarnation || (!member->up && member->silent)) {
        return;
    }
    if (!member->up) {
        tell_end(sim, dialler, true, "refused");
        return;
    }
    conn->there = true;
    conn->opened = true;
    conn->generation = member->generation;
    conn->heard_us = sim->now_us;
    conn->pipe->refs++;
    sim_pipe_identify(conn, member->config.name);
    conn->inbound = peer_inbound_accepted(member->core->peers, conn);
    if (!conn->pipe->stranger) {
        parcel_send(sim, parcel_new(dialler, PARCEL_OPENED, 0));
    }
}

static void frame(struct sim *sim, struct sim_member *member, const struct sim_parcel *parcel)
{
    struct peer_conn *conn = &parcel->pipe->ends[parcel->to];
    const struct slice payload = slice_of(parcel->bytes, parcel->len);

    if (conn->closing || !conn->opened) {
        return;
    }
    if (parcel->to == 0) {
        bool more = peer_link_frame(conn->link, parcel->type, payload);
        CHECK(more || conn->closing);
        return;
    }
    if (parcel->pipe->stranger && sim->mutant == MUTANT_STRANGER_HEARD) {
        sim_voices_believe(member->core->peers, parcel->pipe->who);
    }
    bool more = peer_inbound_frame(conn->inbound, parcel->type, payload);
    CHECK(more || conn->closing);
    if (parcel->pipe->stranger && sim_voices_is_nobody(parcel->pipe->who) && more) {
        sim_fail(sim, "member %u takes the word of somebody who never was a member", member->node);
    }
}

static void closed(struct sim *sim, struct peer_conn *conn, const struct sim_parcel *parcel)
{
    const struct peer_end end = {.refused = parcel->refused, .why = parcel->why};
    struct peer_link *link = conn->link;
    struct peer_inbound *inbound = conn->inbound;

    let_go(sim, conn);
    if (link != NULL) {
        peer_link_closed(link, &end);
    } else {
        peer_inbound_closed(inbound);
    }
}

static bool is_held(const struct sim_member *member, const struct peer_conn *conn)
{
    return conn->there && conn->node == member->node && member->up && !member->dying &&
           conn->generation == member->generation;
}
