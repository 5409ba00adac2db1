/* SPDX-License-Identifier: Apache-2.0 */
/* The swarm: what kinds of worlds and faults a seed has. Each seed draws its own mixture, so that a
 * fault that hides another is absent from half of the runs. */
#include "tests/sim/sim_world.h"

static void draw_storage(struct sim *sim);
static void draw_weights(struct sim *sim);

void sim_swarm_draw(struct sim *sim)
{
    struct sim_swarm *swarm = &sim->swarm;
    struct prng *prng = &sim->faults;
    static const uint32_t members[] = {1, 3, 3, 3, 5};

    swarm->members = members[prng_below(prng, 5)];
    swarm->founders = swarm->members;
    draw_storage(sim);
    swarm->shards = (uint32_t)prng_between(prng, 1, 2);
    swarm->instances_per_shard = (uint32_t)prng_between(prng, 2, 4);
    switch (prng_below(prng, 3)) {
    case 0:
        swarm->delay_min_us = 100;
        swarm->delay_max_us = 1000;
        break;
    case 1:
        swarm->delay_min_us = 500;
        swarm->delay_max_us = 10 * SIM_MS;
        break;
    default:
        swarm->delay_min_us = 5 * SIM_MS;
        swarm->delay_max_us = 60 * SIM_MS;
        break;
    }
    swarm->duration_us = prng_between(prng, 30, 90) * 1000 * SIM_MS;
    swarm->async = prng_chance(prng, 500);
    swarm->clock_rates = prng_chance(prng, 700);
    /* Standing clocks break the clock proof, as safety.md 4 says: sync shards only. */
    swarm->clock_stands = !swarm->async && prng_chance(prng, 400);
    swarm->loss_permille = prng_chance(prng, 500) ? (uint32_t)prng_below(prng, 50) : 0;
    swarm->duplicate_permille = prng_chance(prng, 500) ? (uint32_t)prng_below(prng, 50) : 0;
    swarm->two_copies_permille = 200;
    swarm->fault_gap_us = prng_between(prng, 500, 8000) * SIM_MS;
    draw_weights(sim);
    if (sim->mutant != MUTANT_NONE) {
        sim_mutant_swarm(sim);
    }
}

/* How members keep their logs, and whether others take their places. */
static void draw_storage(struct sim *sim)
{
    struct sim_swarm *swarm = &sim->swarm;
    struct prng *prng = &sim->faults;

    swarm->snapshot_every = prng_chance(prng, 600) ? (uint32_t)prng_between(prng, 10, 300) : 0;
    swarm->log_tail_entries = (uint32_t)prng_between(prng, 1, 60);
    swarm->bad_reads_permille =
        prng_chance(&sim->reads, 500) ? (uint32_t)prng_below(&sim->reads, 300) : 0;
    swarm->changes = swarm->members >= 3 && prng_chance(prng, 500);
    if (swarm->changes) {
        swarm->founders = 3;
        swarm->members = (uint32_t)prng_between(prng, 4, SIM_MEMBERS_MAX);
    }
}

static void draw_weights(struct sim *sim)
{
    uint32_t sum = 0;

    while (sum == 0) {
        for (uint32_t i = 0; i < FAULT_COUNT; i++) {
            bool on = prng_chance(&sim->faults, 500);
            sim->swarm.fault_weights[i] = on ? (uint32_t)prng_between(&sim->faults, 1, 10) : 0;
            sum += sim->swarm.fault_weights[i];
        }
    }
}
