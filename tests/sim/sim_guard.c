/* SPDX-License-Identifier: Apache-2.0 */
/* The fake guardian: a deadline on its own node's clock, and a kill that takes a while. Until the
 * kill is complete everything of the database goes on, acknowledgements included. */
#include "tests/sim/sim_world.h"

#include "base/check.h"

#include <inttypes.h>

enum {
    /* The sidecar subtracts the margin from the lease; the kill must fit into it. */
    KILL_US_MAX = LEASE_MARGIN_MS * SIM_MS,
};

void sim_guard_arm(struct sim *sim,
                   struct sim_instance *instance,
                   struct epoch epoch,
                   uint64_t deadline_us)
{
    struct sim_guardian *guardian = &instance->guardian;

    if (epoch.value < guardian->epoch.value ||
        (epoch.value == guardian->epoch.value && deadline_us <= guardian->deadline_us)) {
        return;
    }
    guardian->epoch = epoch;
    guardian->deadline_us = deadline_us;
    sim_at(sim,
           sim_clock_when(sim, instance->node, deadline_us),
           (struct sim_item){.kind = EV_GUARD, .node = instance->node});
}

void sim_guard_timer(struct sim *sim, struct sim_instance *instance)
{
    const struct sim_guardian *guardian = &instance->guardian;
    uint64_t now_us = sim_clock_read(sim, instance->node);

    if (!guardian->writable || guardian->killing || !instance->up ||
        sim->mutant == MUTANT_DEADLINE_IGNORED) {
        return;
    }
    if (now_us < guardian->deadline_us) {
        return; /* another timer stands for the later deadline */
    }
    sim_trace(sim, "i%u: guardian: the lease deadline has passed", instance->number);
    sim_guard_kill(sim, instance, KILL_US_MAX);
}

void sim_guard_kill(struct sim *sim, struct sim_instance *instance, uint64_t within_us)
{
    struct sim_guardian *guardian = &instance->guardian;

    if (guardian->killing) {
        return;
    }
    if (sim->mutant == MUTANT_FENCE_UNVERIFIED && instance->db.process == DB_PRIMARY) {
        instance->db.leftovers = true; /* the postmaster alone is killed */
        guardian->writable = false;
        return;
    }
    guardian->killing = true;
    /* By its own clock: a slow one takes longer in true time. */
    uint64_t took_us = sim_draw(sim, within_us / 50, within_us);
    sim_at(sim,
           sim_clock_when(
               sim, instance->node, sim_clock_read(sim, instance->node) + took_us - took_us / 100),
           (struct sim_item){
               .kind = EV_GUARD_KILLED, .node = instance->node, .number = instance->db.generation});
}

void sim_guard_killed(struct sim *sim, struct sim_instance *instance, uint64_t generation)
{
    struct sim_guardian *guardian = &instance->guardian;

    if (!guardian->killing || generation != instance->db.generation) {
        guardian->killing = false;
        return;
    }
    guardian->killing = false;
    guardian->writable = false;
    sim_trace(sim, "i%u: guardian: nothing of the database is left", instance->number);
    sim_db_die(sim, instance, true);
    sim_car_soon(sim, instance);
}
