/* SPDX-License-Identifier: Apache-2.0 */
/* Machines that go off, come back, or stand still; see sim_fault.c. */
#include "tests/sim/sim_world.h"

void sim_machine_off(struct sim *sim, struct sim_instance *instance, bool tell)
{
    sim_machine_resume(sim, instance);
    sim_car_crash(sim, instance, tell);
    sim_db_die(sim, instance, tell);
    instance->guardian.killing = false;
    sim_older_guardian_gone(instance);
    instance->up = false;
}

/* Off, or only its database; on again in any case, with whatever lies there now. */
void sim_machine_set_back(struct sim *sim, struct sim_instance *instance)
{
    if (instance->image.with_state || prng_chance(&sim->faults, 700)) {
        sim_machine_off(sim, instance, prng_chance(&sim->faults, 500));
        instance->up = true;
    } else {
        sim_db_die(sim, instance, true);
        instance->guardian.killing = false;
    }
    sim_older_put_back(sim, instance);
    sim_car_start(sim, instance);
}

void sim_machine_resume(struct sim *sim, struct sim_instance *instance)
{
    struct sim_clock *clock = &sim->clocks[instance->node];

    if (clock->standing) {
        clock->frozen_us += sim->now_us - clock->standing_since_us;
        clock->standing = false;
    }
    instance->paused = false;
    sim_guard_timer(sim, instance);
    /* A clock that stood still reaches the deadline later than was planned. */
    sim_at(sim,
           sim_clock_when(sim, instance->node, instance->guardian.deadline_us),
           (struct sim_item){.kind = EV_GUARD, .node = instance->node});
}
