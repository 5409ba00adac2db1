/* SPDX-License-Identifier: Apache-2.0 */
/* Faults of members' disks, clocks and links, and leadership that is handed over. */
#include "tests/sim/sim_world.h"

#include "base/check.h"

enum {
    SLOW_MAX = 200, /* times */
    JUMP_US_MAX = 10 * 1000 * SIM_MS,
    FLAP_US_MIN = 50 * SIM_MS,
    FLAP_US_MAX = 1500 * SIM_MS,
    LINK_BITS = 16,
};

static void flap(struct sim *sim, uint32_t target, uint64_t lasts_us);
static void fill(struct sim_member *member);
static void rot(struct sim *sim, struct sim_member *member);

void sim_fault_member(struct sim *sim, enum sim_fault_kind kind, uint32_t target, uint64_t lasts_us)
{
    struct sim_member *member = &sim->members[target];

    if (kind == FAULT_LINK_FLAPS) {
        flap(sim, target, lasts_us);
    } else if (kind == FAULT_DISK_SLOW) {
        member->store.slow = (uint32_t)prng_between(&sim->faults, 2, SLOW_MAX);
    } else if (kind == FAULT_DISK_SYNC) {
        fault_disk_fail_nth_sync(member->store.fault, 1, ERR_IO);
    } else if (kind == FAULT_DISK_FULL) {
        fill(member);
    } else if (kind == FAULT_DISK_ROT) {
        rot(sim, member);
    } else if (kind == FAULT_CLOCK_JUMPS && sim->swarm.clock_stands && member->up &&
               !member->paused) {
        /* It breaks the clock proof, as a clock that stands does. */
        sim->clocks[target].offset_us += prng_below(&sim->faults, JUMP_US_MAX);
        sim_member_look_up(sim, member);
    } else if (kind == FAULT_STRANGER) {
        sim_fault_stranger(sim, target);
    } else if (kind == FAULT_TRANSFER) {
        struct sim_member *leader = sim_leader(sim);
        struct member_id to = leader == member ? (struct member_id){0} : member->id;
        char why[TEXT_SIZE];
        if (leader != NULL && !leader->paused &&
            node_hand_over(leader->core, to, why, &to) == ERR_OK) {
            sim_member_settle(sim, leader);
        }
    }
}

void sim_flap(struct sim *sim, uint64_t number)
{
    uint32_t from = (uint32_t)(number >> 8) & 0xFF;
    uint32_t to = (uint32_t)number & 0xFF;
    uint64_t until_us = number >> LINK_BITS;
    bool over = sim->healing || sim->now_us >= until_us;

    sim_net_set_cut(&sim->net, from, to, !over && !sim->net.links[from][to].cut);
    if (!over) {
        sim_after(sim,
                  prng_between(&sim->faults, FLAP_US_MIN, FLAP_US_MAX),
                  (struct sim_item){.kind = EV_FLAP, .number = number});
    }
}

static void flap(struct sim *sim, uint32_t target, uint64_t lasts_us)
{
    uint64_t other = prng_between(&sim->faults, 1, sim->members_count);
    uint64_t until_us = sim->now_us + lasts_us;

    if (other != target) {
        sim_flap(sim, until_us << LINK_BITS | (uint64_t)target << 8 | other);
    }
}

/* Not a byte more than there is. */
static void fill(struct sim_member *member)
{
    const struct disk *disk = fault_disk_ops(member->store.fault);
    uint64_t free_bytes = 0;

    fault_disk_set_capacity(member->store.fault, UINT64_MAX / 2);
    enum error error = disk->free_bytes(disk->ctx, "", &free_bytes);
    CHECK(error == ERR_OK);
    fault_disk_set_capacity(member->store.fault, UINT64_MAX / 2 - free_bytes);
}

/* One member at a time, and only where somebody takes its place. */
static void rot(struct sim *sim, struct sim_member *member)
{
    if (!sim->swarm.changes || !member->up || !sim_operator_can_lose_one(sim)) {
        return;
    }
    sim_member_crash(sim, member, true, true);
    sim_trace(sim, "a byte of the log of member %u rots", member->node);
    sim_store_rot(&member->store);
}
