/* SPDX-License-Identifier: Apache-2.0 */
/* The disk of a sidecar's state folder: what it promises is durable some milliseconds later, or
 * once the disk does not hang any more. If the sidecar ends before, either of the two is there. */
#include "tests/sim/sim_world.h"

enum {
    WRITE_MIN_US = 200,
    WRITE_MAX_US = 5000,
};

static void finish(struct sim *sim, struct sim_instance *instance);

void sim_car_save(struct sim *sim, struct sim_instance *instance)
{
    struct sim_car *car = &instance->car;

    if (!car->writing) {
        car->writing = true;
        car->behind = car->turn.state;
        sim_after(sim,
                  sim_draw(sim, WRITE_MIN_US, WRITE_MAX_US),
                  (struct sim_item){
                      .kind = EV_CAR_SAVED, .node = instance->node, .number = car->generation});
    }
    if (sim->mutant == MUTANT_PROMISE_UNWRITTEN) {
        finish(sim, instance);
    }
}

void sim_car_saved(struct sim *sim, struct sim_instance *instance, uint64_t generation)
{
    struct sim_car *car = &instance->car;

    if (!car->up || generation != car->generation) {
        return;
    }
    if (car->paused || car->disk_hung) {
        sim_after(
            sim,
            20 * SIM_MS,
            (struct sim_item){.kind = EV_CAR_SAVED, .node = instance->node, .number = generation});
        return;
    }
    car->writing = false;
    if (car->turn.saving) {
        finish(sim, instance);
        sim_car_keep(sim, instance);
    }
}

void sim_car_save_lost(struct sim *sim, struct sim_instance *instance)
{
    struct sim_car *car = &instance->car;

    if (car->writing && sim->mutant == MUTANT_PROMISE_UNWRITTEN) {
        car->turn.state = car->behind;
    } else if (car->turn.saving && prng_chance(&sim->faults, 500)) {
        car->turn.state = car->turn.action.state_next;
    }
    car->turn.saving = false;
    car->writing = false;
}

static void finish(struct sim *sim, struct sim_instance *instance)
{
    struct sim_car *car = &instance->car;
    struct keeper_facts facts;
    struct keeper_action action;

    sim_car_facts(sim, instance, &facts);
    keeper_turn_saved(&car->turn, &facts, car->has_goal ? &car->goal : NULL, true, &action);
    if (action.kind != KEEPER_PERSIST && action.kind != KEEPER_WAIT) {
        sim_car_begin(sim, instance, &action);
    }
}
