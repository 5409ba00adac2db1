/* SPDX-License-Identifier: Apache-2.0 */
/* Faults, as drawn from the weights of the swarm, and their undoing. */
#include "tests/sim/sim_world.h"

#include "base/check.h"

#include <string.h>

static enum sim_fault_kind draw_kind(struct sim *sim);
static uint64_t draw_duration(struct sim *sim);
static void do_fault(struct sim *sim, enum sim_fault_kind kind);
static void undo_fault(struct sim *sim, enum sim_fault_kind kind, uint32_t target);
static void undo_database_fault(struct sim *sim, enum sim_fault_kind kind, uint32_t target);
static void member_fault(struct sim *sim, enum sim_fault_kind kind, uint32_t target);
static void instance_fault(struct sim *sim, enum sim_fault_kind kind, uint32_t target);
static void cut_node(struct sim *sim, uint32_t node, bool cut);
static uint32_t region_of(const struct sim *sim, uint32_t node);
static void region_fault(struct sim *sim, enum sim_fault_kind kind, uint32_t region);
static void start_again(struct sim *sim, uint32_t instance);
static void get_well(struct sim_member *member);
static void join_region(struct sim *sim, uint32_t region);
static void ask_for_failover(struct sim *sim);

void sim_fault(struct sim *sim)
{
    sim_after(sim,
              prng_between(&sim->faults, sim->swarm.fault_gap_us / 4, sim->swarm.fault_gap_us),
              (struct sim_item){.kind = EV_FAULT});
    if (sim->healing) {
        return;
    }
    if (sim->now_us > sim->swarm.duration_us) {
        sim_heal(sim);
        return;
    }
    do_fault(sim, draw_kind(sim));
}

void sim_undo(struct sim *sim, uint64_t number)
{
    if (!sim->healing) {
        undo_fault(sim, (enum sim_fault_kind)(number >> 32), (uint32_t)number);
    }
}

void sim_heal(struct sim *sim)
{
    sim_trace(sim, "healing");
    sim->healing = true;
    sim->healed_us = sim->now_us;
    sim_net_heal(&sim->net);
    for (uint32_t from = 0; from <= SIM_NODES_MAX; from++) {
        for (uint32_t to = 0; to <= SIM_NODES_MAX; to++) {
            sim->net.links[from][to].loss_permille = 0;
        }
    }
    for (uint32_t i = 1; i <= sim->members_count; i++) {
        get_well(&sim->members[i]);
        sim->members[i].disk_hangs_until_us = 0;
        sim_member_resume(sim, &sim->members[i]);
        if (!sim->members[i].up) {
            sim_member_start(sim, &sim->members[i]);
        }
    }
    for (uint32_t i = 1; i <= sim->instances_count; i++) {
        struct sim_instance *instance = &sim->instances[i];
        sim_machine_resume(sim, instance);
        instance->up = true;
        instance->db.hung = false;
        instance->db.dies_promoted = false;
        instance->car.paused = false;
        instance->car.disk_hung = false;
        sim_car_start(sim, instance);
    }
}

static enum sim_fault_kind draw_kind(struct sim *sim)
{
    uint32_t sum = 0;

    for (uint32_t i = 0; i < FAULT_COUNT; i++) {
        sum += sim->swarm.fault_weights[i];
    }
    uint64_t place = prng_below(&sim->faults, sum);
    for (uint32_t i = 0; i < FAULT_COUNT; i++) {
        if (place < sim->swarm.fault_weights[i]) {
            return (enum sim_fault_kind)i;
        }
        place -= sim->swarm.fault_weights[i];
    }
    UNREACHABLE("the place lies within the sum");
}

static uint64_t draw_duration(struct sim *sim)
{
    return prng_chance(&sim->faults, 700) ? prng_between(&sim->faults, 50, 4000) * SIM_MS
                                          : prng_between(&sim->faults, 4000, 30000) * SIM_MS;
}

static uint32_t draw_link(struct sim *sim, uint32_t nodes)
{
    return (uint32_t)prng_between(&sim->faults, 1, nodes) << 8 |
           (uint32_t)prng_between(&sim->faults, 1, nodes);
}

static void do_fault(struct sim *sim, enum sim_fault_kind kind)
{
    uint32_t nodes = sim->members_count + sim->instances_count;
    uint32_t target = 0;
    uint64_t lasts_us = draw_duration(sim);

    switch (kind) {
    case FAULT_MEMBER_CRASH:
    case FAULT_MEMBER_PAUSE:
        target = (uint32_t)prng_between(&sim->faults, 1, sim->members_count);
        member_fault(sim, kind, target);
        break;
    case FAULT_LINK_CUT:
        target = draw_link(sim, nodes);
        sim_net_set_cut(&sim->net, target >> 8, target & 0xFF, true);
        break;
    case FAULT_NODE_CUT:
        target = (uint32_t)prng_between(&sim->faults, 1, nodes);
        cut_node(sim, target, true);
        break;
    case FAULT_REGION_CUT:
    case FAULT_REGION_OFF:
        target = (uint32_t)prng_between(&sim->faults, 1, SIM_REGIONS);
        region_fault(sim, kind, target);
        break;
    case FAULT_CAR_CRASH:
    case FAULT_CAR_PAUSE:
    case FAULT_CAR_DISK:
    case FAULT_DB_CRASH:
    case FAULT_POSTMASTER_KILLED:
    case FAULT_DB_HUNG:
    case FAULT_PROMOTION:
    case FAULT_INSTANCE_KILLED:
    case FAULT_MACHINE_OFF:
    case FAULT_MACHINE_PAUSE:
    case FAULT_SUPERUSER:
    case FAULT_BY_HAND:
        target = (uint32_t)prng_between(&sim->faults, 1, sim->instances_count);
        instance_fault(sim, kind, target);
        break;
    case FAULT_FOLDER_OLDER:
    case FAULT_MACHINE_OLDER:
        target = (uint32_t)prng_between(&sim->faults, 1, sim->instances_count);
        sim_older_take_image(sim, &sim->instances[target], kind == FAULT_MACHINE_OLDER);
        break;
    case FAULT_OPERATOR:
        ask_for_failover(sim);
        return;
    case FAULT_LINK_FLAPS:
    case FAULT_DISK_SLOW:
    case FAULT_DISK_SYNC:
    case FAULT_DISK_FULL:
    case FAULT_DISK_ROT:
    case FAULT_CLOCK_JUMPS:
    case FAULT_TRANSFER:
    case FAULT_STRANGER:
        target = (uint32_t)prng_between(&sim->faults, 1, sim->members_count);
        sim_fault_member(sim, kind, target, lasts_us);
        break;
    case FAULT_STATE_WRONG:
    case FAULT_DISK_HANGS:
    case FAULT_APPLY_SLOW:
        target = (uint32_t)prng_between(&sim->faults, 1, sim->members_count);
        sim_fault_node(sim, kind, target, lasts_us);
        break;
    case FAULT_COUNT:
        UNREACHABLE("no fault");
    }
    sim_trace(
        sim, "fault %d on %x for %lu ms", (int)kind, target, (unsigned long)lasts_us / SIM_MS);
    sim_after(
        sim, lasts_us, (struct sim_item){.kind = EV_UNDO, .number = (uint64_t)kind << 32 | target});
}

static void undo_fault(struct sim *sim, enum sim_fault_kind kind, uint32_t target)
{
    sim_trace(sim, "end of fault %d on %x", (int)kind, target);
    switch (kind) {
    case FAULT_MEMBER_CRASH:
    case FAULT_DISK_ROT:
        if (!sim->members[target].up) {
            sim_member_start(sim, &sim->members[target]);
        }
        break;
    case FAULT_MEMBER_PAUSE:
        sim_member_resume(sim, &sim->members[target]);
        break;
    case FAULT_LINK_CUT:
        sim_net_set_cut(&sim->net, target >> 8, target & 0xFF, false);
        break;
    case FAULT_NODE_CUT:
        cut_node(sim, target, false);
        break;
    case FAULT_REGION_CUT:
        join_region(sim, target);
        break;
    case FAULT_REGION_OFF:
        for (uint32_t i = 1; i <= sim->members_count; i++) {
            if (sim->members[i].region == target && !sim->members[i].up) {
                sim_member_start(sim, &sim->members[i]);
            }
        }
        for (uint32_t i = 1; i <= sim->instances_count; i++) {
            if (sim->instances[i].region == target) {
                start_again(sim, i);
            }
        }
        break;
    case FAULT_CAR_PAUSE:
    case FAULT_CAR_DISK:
    case FAULT_DB_HUNG:
    case FAULT_PROMOTION:
        undo_database_fault(sim, kind, target);
        break;
    case FAULT_MACHINE_PAUSE:
        sim_machine_resume(sim, &sim->instances[target]);
        break;
    case FAULT_CAR_CRASH:
    case FAULT_INSTANCE_KILLED:
    case FAULT_MACHINE_OFF:
    case FAULT_BY_HAND:
        start_again(sim, target);
        break;
    case FAULT_FOLDER_OLDER:
    case FAULT_MACHINE_OLDER:
        sim_machine_set_back(sim, &sim->instances[target]);
        break;
    case FAULT_DISK_SLOW:
    case FAULT_DISK_FULL:
    case FAULT_APPLY_SLOW:
        get_well(&sim->members[target]);
        break;
    case FAULT_DB_CRASH:
    case FAULT_POSTMASTER_KILLED:
    case FAULT_OPERATOR:
    case FAULT_SUPERUSER:
    case FAULT_LINK_FLAPS:
    case FAULT_DISK_SYNC:
    case FAULT_CLOCK_JUMPS:
    case FAULT_TRANSFER:
    case FAULT_STRANGER:
    case FAULT_STATE_WRONG:
    case FAULT_DISK_HANGS:
    case FAULT_COUNT:
        break;
    }
}

static void start_again(struct sim *sim, uint32_t instance)
{
    sim->instances[instance].up = true;
    sim_car_start(sim, &sim->instances[instance]);
}

/* Its disk and its apply thread are as fast, and as large, as ever. */
static void get_well(struct sim_member *member)
{
    member->store.slow = 1;
    member->apply_slow = false;
    fault_disk_set_capacity(member->store.fault, UINT64_MAX / 2);
}

static void join_region(struct sim *sim, uint32_t region)
{
    for (uint32_t i = 1; i <= sim->members_count + sim->instances_count; i++) {
        if (region_of(sim, i) == region) {
            cut_node(sim, i, false);
        }
    }
}

static void undo_database_fault(struct sim *sim, enum sim_fault_kind kind, uint32_t target)
{
    struct sim_db *db = &sim->instances[target].db;
    struct sim_car *car = &sim->instances[target].car;

    car->paused = car->paused && kind != FAULT_CAR_PAUSE;
    car->disk_hung = car->disk_hung && kind != FAULT_CAR_DISK;
    db->hung = db->hung && kind != FAULT_DB_HUNG;
    db->dies_promoted = db->dies_promoted && kind != FAULT_PROMOTION;
}

static void member_fault(struct sim *sim, enum sim_fault_kind kind, uint32_t target)
{
    struct sim_member *member = &sim->members[target];

    if (kind == FAULT_MEMBER_PAUSE) {
        member->paused = member->up;
        return;
    }
    bool tell = prng_chance(&sim->faults, 700);
    sim_member_crash(sim, member, prng_chance(&sim->faults, 500), tell);
}

static void instance_fault(struct sim *sim, enum sim_fault_kind kind, uint32_t target)
{
    struct sim_instance *instance = &sim->instances[target];

    if (!instance->up || instance->paused) {
        return;
    }
    if (kind == FAULT_CAR_CRASH) {
        sim_car_crash(sim, instance, true);
    } else if (kind == FAULT_CAR_PAUSE) {
        instance->car.paused = instance->car.up;
    } else if (kind == FAULT_CAR_DISK) {
        instance->car.disk_hung = true;
    } else if (kind == FAULT_DB_CRASH) {
        sim_db_die(sim, instance, true);
        instance->guardian.killing = false;
    } else if (kind == FAULT_POSTMASTER_KILLED && instance->db.process == DB_PRIMARY) {
        /* Its backends live on and acknowledge until the guardian has found them all (E1). */
        instance->db.leftovers = true;
        sim_guard_kill(sim, instance, 300 * SIM_MS);
    } else if (kind == FAULT_SUPERUSER) {
        sim_superuser(sim, instance);
    } else if (kind == FAULT_BY_HAND) {
        sim_by_hand(sim, instance);
    } else if (kind == FAULT_DB_HUNG) {
        instance->db.hung = instance->db.process != DB_DOWN;
    } else if (kind == FAULT_PROMOTION) {
        instance->db.dies_promoted = true;
        instance->db.promotion_deaths = 0;
    } else if (kind == FAULT_INSTANCE_KILLED) {
        sim_car_crash(sim, instance, true);
        sim_db_die(sim, instance, true);
        instance->guardian.killing = false;
        sim_older_guardian_gone(instance);
    } else if (kind == FAULT_MACHINE_OFF) {
        sim_machine_off(sim, instance, false);
    } else if (kind == FAULT_MACHINE_PAUSE) {
        struct sim_clock *clock = &sim->clocks[instance->node];
        instance->paused = true;
        clock->standing = sim->swarm.clock_stands && prng_chance(&sim->faults, 500);
        clock->standing_since_us = sim->now_us;
    }
}

static void cut_node(struct sim *sim, uint32_t node, bool cut)
{
    for (uint32_t i = 1; i <= sim->members_count + sim->instances_count; i++) {
        if (i != node) {
            sim_net_set_cut(&sim->net, node, i, cut);
            sim_net_set_cut(&sim->net, i, node, cut);
        }
    }
}

static uint32_t region_of(const struct sim *sim, uint32_t node)
{
    return node <= sim->members_count ? sim->members[node].region
                                      : sim->instances[node - sim->members_count].region;
}

static void region_fault(struct sim *sim, enum sim_fault_kind kind, uint32_t region)
{
    uint32_t nodes = sim->members_count + sim->instances_count;

    for (uint32_t i = 1; i <= nodes; i++) {
        if (region_of(sim, i) != region) {
            continue;
        }
        if (kind == FAULT_REGION_OFF && i <= sim->members_count) {
            sim_member_crash(sim, &sim->members[i], true, false);
        } else if (kind == FAULT_REGION_OFF) {
            sim_machine_off(sim, sim_instance_of_node(sim, i), false);
        }
        for (uint32_t k = 1; kind == FAULT_REGION_CUT && k <= nodes; k++) {
            if (region_of(sim, k) != region) {
                sim_net_set_cut(&sim->net, i, k, true);
                sim_net_set_cut(&sim->net, k, i, true);
            }
        }
    }
}

static void ask_for_failover(struct sim *sim)
{
    const struct sim_member *leader = sim_leader(sim);
    char message[TEXT_SIZE];

    if (leader == NULL || leader->paused) {
        return;
    }
    struct shard_id shard = {(uint32_t)prng_between(&sim->faults, 1, sim->shards_count)};
    const struct controller_wish wish = {.shard = shard, .reason = "asked"};
    if (controller_failover(
            node_controller(leader->core), &wish, sim_member_local_ms(sim, leader), message) ==
        ERR_OK) {
        sim_trace(sim, "operator asks for a failover of shard %u", shard.value);
    }
}
