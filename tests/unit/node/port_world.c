/* SPDX-License-Identifier: Apache-2.0 */
/* See port_world.h. */
#include "port_world.h"

#include "base/clock.h"

static struct handed *hand(struct world *world, char what, struct node_port_ticket ticket)
{
    assert_true(world->handed_count < HANDED_MAX);
    struct handed *handed = &world->handed[world->handed_count++];
    *handed = (struct handed){.what = what, .ticket = ticket};
    return handed;
}

static void propose(void *core, const struct command *command, struct node_port_ticket ticket)
{
    hand(core, 'p', ticket)->index = command->leader_term;
}

static void read_confirmed(void *core, struct node_port_ticket ticket)
{
    (void)hand(core, 'r', ticket);
}

static void read_at(void *core, uint64_t index, struct node_port_ticket ticket)
{
    hand(core, 'a', ticket)->index = index;
}

static uint64_t query(void *core, node_port_query_fn run, void *ctx, struct node_port_ticket ticket)
{
    struct world *world = core;
    (void)hand(core, 'q', ticket);
    run(NULL, ctx);
    return world->submitted;
}

static struct node_office office(const void *core)
{
    const struct world *world = core;
    return world->office;
}

static void close_core(void *core)
{
    struct world *world = core;
    world->closed = true;
}

static uint64_t now_ms(const void *core)
{
    (void)core;
    return clock_monotonic_ms();
}

static const struct node_port_core calls = {
    .now_ms = now_ms,
    .propose = propose,
    .read = read_confirmed,
    .read_at = read_at,
    .query = query,
    .office = office,
    .close = close_core,
};

void begin(struct world *world)
{
    *world = (struct world){.office = {.role = RAFT_LEADER, .leads = true, .term = 5}};
    world->port = node_port_new(&calls, world);
}

void end(struct world *world)
{
    node_port_close(world->port);
    assert_true(world->closed);
}

void answer(struct world *world, uint32_t at, enum error error, uint64_t index)
{
    static const struct command_result fine = {.error = ERR_OK};
    const struct node_port_answer told = {.error = error, .index = index, .result = &fine};
    assert_true(at < world->handed_count);
    node_port_answered(world->port, world->handed[at].ticket, &told);
}
