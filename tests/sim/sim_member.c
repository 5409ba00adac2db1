/* SPDX-License-Identifier: Apache-2.0 */
/* A coordinator: the node of production (src/node), told what the simulated world does to it. What
 * it asks for in turn is in sim_io*.c. */
#include "tests/sim/sim_world.h"

#include "base/check.h"
#include "base/mem.h"
#include "node/node_internal.h"

#include <inttypes.h>

enum {
    GENERATION_SHIFT = 40,
};

static bool runs(const struct sim_member *member);
static void bring(struct sim *sim, struct sim_member *member);
static void look(struct sim *sim, struct sim_member *member);
static void end(struct sim *sim, struct sim_member *member, const char *why);
static void on_nothing(enum error error, const struct command_result *result, void *ctx);

void sim_member_timer(struct sim *sim, struct sim_member *member, uint64_t generation)
{
    if (!member->up || generation != member->generation || sim->now_us != member->timer_at_us) {
        return;
    }
    member->timer_at_us = UINT64_MAX;
    if (member->paused) {
        return; /* sim_member_resume looks again */
    }
    if (member->deadline_us > sim->now_us) {
        uint64_t deadline_us = member->deadline_us;
        member->timer_at_us = deadline_us;
        if (deadline_us != UINT64_MAX) {
            sim_at(sim,
                   deadline_us,
                   (struct sim_item){
                       .kind = EV_MEMBER_TIMER, .node = member->node, .number = generation});
        }
        return;
    }
    node_timer(member->core);
    sim_member_settle(sim, member);
}

void sim_member_tick(struct sim *sim, struct sim_member *member, uint64_t generation)
{
    if (!member->up || generation != member->generation) {
        return;
    }
    sim_after(
        sim,
        CONTROLLER_TICK_MS * SIM_MS,
        (struct sim_item){.kind = EV_MEMBER_TICK, .node = member->node, .number = generation});
    if (!member->paused) {
        sim_pipe_tick(sim, member);
        node_tick(member->core);
        sim_member_settle(sim, member);
    }
}

void sim_member_look_up(struct sim *sim, struct sim_member *member)
{
    if (runs(member)) {
        node_timer(member->core);
        node_tick(member->core);
        peers_timer(member->core->peers);
        sim_member_settle(sim, member);
    }
}

void sim_member_disk(struct sim *sim, struct sim_member *member, const struct sim_item *item)
{
    if (!member->up || item->number >> GENERATION_SHIFT != member->generation) {
        return;
    }
    uint64_t seq = item->number & ((UINT64_C(1) << GENERATION_SHIFT) - 1);
    if (sim->now_us < member->disk_hangs_until_us) {
        sim_at(sim, member->disk_hangs_until_us, *item);
        return;
    }
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
        /* The log is dead: the process ends before it can promise anything. */
        end(sim, member, reason.text);
        return;
    }
    node_persisted(member->core, seq);
    sim_member_settle(sim, member);
}

/* One that is too early, or comes twice, does nothing. */
void sim_member_redial(struct sim *sim, struct sim_member *member, uint64_t generation)
{
    if (runs(member) && generation == member->generation) {
        peers_timer(member->core->peers);
        sim_member_settle(sim, member);
    }
}

void sim_member_apply(struct sim *sim, struct sim_member *member, uint64_t generation)
{
    if (runs(member) && generation == member->generation) {
        sim_member_settle(sim, member);
    }
}

void sim_member_resume(struct sim *sim, struct sim_member *member)
{
    if (!member->up || !member->paused) {
        return;
    }
    member->paused = false;
    sim_member_look_up(sim, member);
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

void sim_member_propose(struct sim_member *member, const struct command *command)
{
    node_propose(member->core, command, (struct proposals_waiter){.done = on_nothing});
}

uint64_t sim_member_local_ms(const struct sim *sim, const struct sim_member *member)
{
    return sim_clock_read(sim, member->node) / SIM_MS;
}

void sim_member_settle(struct sim *sim, struct sim_member *member)
{
    if (!member->up) {
        return;
    }
    bring(sim, member);
    look(sim, member);
    if (!member->dying) {
        sim_member_found(sim, member);
        bring(sim, member);
        look(sim, member);
    }
    if (member->dying) {
        end(sim, member, "by itself");
    }
}

static bool runs(const struct sim_member *member)
{
    return member->up && !member->paused;
}

static void bring(struct sim *sim, struct sim_member *member)
{
    bool more = true;

    while (more && !member->dying) {
        more =
            sim_io_work(sim, member) || node_ports_flush(member->core) || node_flush(member->core);
    }
}

static void look(struct sim *sim, struct sim_member *member)
{
    const struct node *core = member->core;

    if (core->role == RAFT_LEADER && core->term != member->term) {
        sim_trace(sim, "member %u leads term %" PRIu64, member->node, core->term);
    }
    member->applied = core->applied;
    member->term = core->term;
    member->role = core->role;
    member->leader = core->leader;
    member->elected = core->in_office;
    sim_check_leader(sim, member);
    sim_check_disks(sim, member);
    if (core->quarantine.active && core->role == RAFT_LEADER) {
        sim_fail(sim, "member %u leads, in quarantine", member->node);
    }
}

static void end(struct sim *sim, struct sim_member *member, const char *why)
{
    sim_trace(sim, "member %u dies: %s", member->node, why);
    sim_member_crash(sim, member, false, true);
    sim_after(sim,
              prng_between(&sim->faults, 100, 3000) * SIM_MS,
              (struct sim_item){.kind = EV_MEMBER_START, .node = member->node});
}

static void on_nothing(enum error error, const struct command_result *result, void *ctx)
{
    (void)error;
    (void)result;
    (void)ctx;
}
