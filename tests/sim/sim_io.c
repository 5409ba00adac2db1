/* SPDX-License-Identifier: Apache-2.0 */
/* What a member's core asks of the outside (node/node_io.h): clocks, its timer, its end, and its
 * links to the others. */
#include "tests/sim/sim_world.h"

#include "base/check.h"
#include "base/mem.h"
#include "node/node_internal.h"

enum {
    WALL_MS = 1000000,
    NS_PER_US = 1000,
};

static uint64_t now_ms(void *ctx);
static uint64_t wall_ms(void *ctx);
static void arm_timer(void *ctx, uint64_t deadline_ms);
static void die(void *ctx, int exit_code);

void sim_io_fill(struct sim_member *member)
{
    struct node_io *io = &member->io;

    *io = (struct node_io){
        .ground.disk = fault_disk_ops(member->store.fault),
        .ground.paths = &member->paths,
        .now_ms = now_ms,
        .wall_ms = wall_ms,
        .arm_timer = arm_timer,
        .die = die,
    };
    sim_io_disk_fill(io);
    sim_io_apply_fill(io);
}

static uint64_t now_ms(void *ctx)
{
    const struct sim_member *member = ctx;
    return sim_member_local_ms(member->sim, member);
}

static uint64_t wall_ms(void *ctx)
{
    const struct sim_member *member = ctx;
    return member->sim->now_us / SIM_MS + WALL_MS;
}

static void arm_timer(void *ctx, uint64_t deadline_ms)
{
    struct sim_member *member = ctx;
    struct sim *sim = member->sim;

    member->deadline_us = deadline_ms > UINT64_MAX / SIM_MS
                              ? UINT64_MAX
                              : sim_clock_when(sim, member->node, deadline_ms * SIM_MS);
    if (member->deadline_us >= member->timer_at_us) {
        return; /* the event that is there looks again */
    }
    member->timer_at_us = member->deadline_us > sim->now_us ? member->deadline_us : sim->now_us + 1;
    sim_at(sim,
           member->timer_at_us,
           (struct sim_item){
               .kind = EV_MEMBER_TIMER, .node = member->node, .number = member->generation});
}

/* The process is gone when the call that this comes from has returned (sim_member_settle). */
static void die(void *ctx, int exit_code)
{
    struct sim_member *member = ctx;
    struct sim *sim = member->sim;

    sim_trace(sim, "member %u ends itself, exit code %d", member->node, exit_code);
    sim->quarantines_count += exit_code == NODE_EXIT_QUARANTINE;
    member->dying = true;
}

/* --- links (peers/peers_io.h) -----------------------------------------------------------------
 */

static uint64_t now_ns(void *ctx)
{
    const struct sim_member *member = ctx;
    return sim_clock_read(member->sim, member->node) * NS_PER_US;
}

static void arm_redial(void *ctx, uint64_t deadline_ms)
{
    struct sim_member *member = ctx;
    struct sim *sim = member->sim;

    if (deadline_ms == UINT64_MAX) {
        return;
    }
    sim_at(sim,
           sim_clock_when(sim, member->node, deadline_ms * SIM_MS),
           (struct sim_item){
               .kind = EV_MEMBER_REDIAL, .node = member->node, .number = member->generation});
}

/* Nobody has an address of another kind. */
static enum error dial(void *ctx,
                       struct peer_link *link,
                       enum wire_lane lane,
                       const char *address,
                       struct peer_conn **conn_out)
{
    struct sim_member *member = ctx;
    struct sim *sim = member->sim;
    uint32_t incarnation = 0;
    uint32_t to = sim_member_at(sim, address, &incarnation);

    (void)lane;
    if (to == 0) {
        return ERR_INVALID;
    }
    struct sim_pipe *pipe = sim_pipe_new(sim, member->node, to, incarnation);
    struct peer_conn *conn = &pipe->ends[0];
    conn->generation = member->generation;
    conn->heard_us = sim->now_us;
    conn->link = link;
    sim_pipe_identify(conn, member->config.name);
    sim_pipe_dial(sim, pipe);
    *conn_out = conn;
    return ERR_OK;
}

static enum error write_frame(struct peer_conn *conn, uint8_t type, struct slice payload)
{
    return sim_pipe_write(conn->pipe->sim, conn, type, payload);
}

static size_t queued_bytes(const struct peer_conn *conn)
{
    (void)conn;
    return 0;
}

static void close_conn(struct peer_conn *conn)
{
    sim_pipe_close(conn->pipe->sim, conn);
}

static void forget(struct peer_conn *conn)
{
    struct sim *sim = conn->pipe->sim;
    sim_pipe_forget(sim, conn, sim->members[conn->node].silent);
}

static const struct peers_io pipes = {
    .now_ns = now_ns,
    .arm_timer = arm_redial,
    .dial = dial,
    .write = write_frame,
    .queued_bytes = queued_bytes,
    .party = sim_pipe_party,
    .close = close_conn,
    .finish = close_conn,
    .forget = forget,
};

const struct peers_io *sim_io_links(void)
{
    return &pipes;
}
