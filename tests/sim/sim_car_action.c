/* SPDX-License-Identifier: Apache-2.0 */
/* What a sidecar sees of its database, and what its actions do to it. An action's effect comes some
 * time after it was begun, also when the sidecar has died meanwhile: a request that has left is
 * under way. */
#include "tests/sim/sim_world.h"

#include "base/check.h"

#include <string.h>

enum {
    CANARY_WAIT_US = 150 * SIM_MS,
    FENCE_US = 200 * SIM_MS,
    NS_PER_US = 1000,
    CAUGHT_UP_ENTRIES = 5,
    PROMOTION_DEATHS_MAX = 8, /* of one instance, by one fault: that lasts 30 s at most */
};

static enum instance_state state_of(const struct sim *sim, const struct sim_instance *instance);
static void
standby_facts(struct sim *sim, const struct sim_instance *instance, struct keeper_facts *facts);
static void
primary_facts(struct sim *sim, const struct sim_instance *instance, struct keeper_facts *facts);
static void effect_database(struct sim *sim, struct sim_instance *instance);
static void effect_primary(struct sim *sim, struct sim_instance *instance);
static void promotion_dies(struct sim *sim, struct sim_instance *instance);

void sim_car_facts(struct sim *sim, struct sim_instance *instance, struct keeper_facts *facts_out)
{
    struct sim_car *car = &instance->car;
    const struct sim_db *db = &instance->db;
    uint64_t now_us = sim_clock_read(sim, instance->node);

    memset(facts_out, 0, sizeof(*facts_out));
    facts_out->state = state_of(sim, instance);
    if (facts_out->state != INSTANCE_HUNG) {
        car->hung_since_us = 0;
    } else if (car->hung_since_us == 0) {
        car->hung_since_us = now_us;
    } else {
        facts_out->hung_ms = (uint32_t)((now_us - car->hung_since_us) / SIM_MS);
    }
    facts_out->running = car->running;
    facts_out->fresh_incarnation = (uint64_t)instance->number << 48 |
                                   (uint64_t)(car->generation & 0xFFFF) << 32 |
                                   (uint64_t)(++car->fresh_last);
    facts_out->lease_epoch = lease_holder_running(&car->holder, now_us * NS_PER_US);
    facts_out->system_identifier = db->folder ? 1000 + instance->shard : 0;
    facts_out->primary_reach = car->reach;
    facts_out->primary_reach_of = car->reach_of;
    facts_out->primary_reach_ms = (uint32_t)((sim->now_us - car->reach_since_us) / SIM_MS);
    facts_out->marks = car->marks;
    facts_out->start_nonce = instance->guardian.office_nonce;
    facts_out->continuous = sim_older_is_continuous(sim, instance);
    facts_out->lineage = sim_by_hand_lineage(sim, instance);
    if (sim->mutant == MUTANT_FOLDER_UNCHECKED && facts_out->start_nonce == 0) {
        facts_out->start_nonce = car->last_office_nonce;
    }
    facts_out->redo_bytes = (db->wal_count % 50) * SIM_LSN_PER_ENTRY;
    if (db->process == DB_STANDBY) {
        standby_facts(sim, instance, facts_out);
    } else if (db->process == DB_PRIMARY) {
        primary_facts(sim, instance, facts_out);
    }
    sim_superuser_look(sim, instance, facts_out);
    if (sim->mutant == MUTANT_COPY_RUNS && car->running == KEEPER_CLONE) {
        facts_out->state = INSTANCE_STANDBY;
        facts_out->conninfo_of = car->action.upstream;
        facts_out->receiver_streaming = true;
    }
}

void sim_car_begin(struct sim *sim,
                   struct sim_instance *instance,
                   const struct keeper_action *action)
{
    struct sim_car *car = &instance->car;
    uint64_t effect_us = sim_draw(sim, 1 * SIM_MS, 40 * SIM_MS);
    uint64_t finish_us = effect_us + sim_draw(sim, 1 * SIM_MS, 20 * SIM_MS);

    CHECK(action->kind != KEEPER_NONE);
    if (action->kind == KEEPER_CLONE) {
        effect_us = sim_draw(sim, 200 * SIM_MS, 2000 * SIM_MS);
        finish_us = effect_us + 1 * SIM_MS;
        const struct sim_instance *upstream =
            sim_instance_by_id(sim, instance->shard, action->upstream);
        sim_db_copy(sim, instance, upstream != NULL ? upstream->number : 0);
    } else if (action->kind == KEEPER_PROMOTE && prng_chance(&sim->timing, 100)) {
        effect_us = sim_draw(sim, 40 * SIM_MS, 3000 * SIM_MS);
        finish_us = effect_us + 10 * SIM_MS;
    } else if (action->kind == KEEPER_FINAL_POSITION && prng_chance(&sim->timing, 50)) {
        /* Much later than the others say theirs. */
        effect_us = sim_draw(sim, 150 * SIM_MS, 1500 * SIM_MS);
        finish_us = effect_us + 10 * SIM_MS;
    } else if (action->kind == KEEPER_CANARY) {
        finish_us = effect_us + CANARY_WAIT_US;
    } else if (action->kind == KEEPER_FENCE) {
        finish_us = effect_us + FENCE_US;
    } else if (action->kind == KEEPER_CONFIRM_SYNC) {
        finish_us = effect_us + 50 * SIM_MS;
    }
    sim_trace(sim,
              "i%u: %s (%s), goal %s epoch %lu",
              instance->number,
              keeper_action_name(action->kind),
              action->reason,
              goal_role_name(car->goal.role),
              (unsigned long)car->goal.epoch.value);
    if (action->kind == KEEPER_PROMOTE) {
        /* From the request on the deadline kills, whenever the database gets to it. */
        instance->guardian.writable = true;
        instance->guardian.office_nonce = instance->guardian.nonce;
        car->last_office_nonce = instance->guardian.nonce;
    }
    car->running = action->kind;
    car->action = *action;
    car->action_goal = car->goal;
    car->action_serial++;
    struct sim_item item = {.node = instance->node, .number = car->action_serial};
    item.kind = EV_CAR_ACTION;
    sim_after(sim, effect_us, item);
    item.kind = EV_CAR_FINISHED;
    sim_after(sim, finish_us, item);
}

void sim_car_effect(struct sim *sim, struct sim_instance *instance, uint64_t serial)
{
    const struct sim_car *car = &instance->car;

    /* A sidecar that died had sent its request, or had not. */
    if (serial != car->action_serial || !instance->up ||
        (!car->up && prng_chance(&sim->timing, 500))) {
        return;
    }
    effect_database(sim, instance);
}

static enum instance_state state_of(const struct sim *sim, const struct sim_instance *instance)
{
    const struct sim_db *db = &instance->db;

    if (instance->car.running == KEEPER_CLONE || instance->car.running == KEEPER_INIT) {
        return INSTANCE_BUILDING;
    }
    if (!db->folder) {
        return INSTANCE_EMPTY;
    }
    if (db->leftovers) {
        return sim->mutant == MUTANT_FENCE_UNVERIFIED ? INSTANCE_STOPPED : INSTANCE_HUNG;
    }
    if (db->hung && db->process != DB_DOWN) {
        return INSTANCE_HUNG;
    }
    switch (db->process) {
    case DB_DOWN:
        return INSTANCE_STOPPED;
    case DB_STARTING:
        return INSTANCE_STARTING;
    case DB_STANDBY:
        return INSTANCE_STANDBY;
    case DB_PRIMARY:
        return INSTANCE_PRIMARY;
    }
    return INSTANCE_UNKNOWN;
}

static void
standby_facts(struct sim *sim, const struct sim_instance *instance, struct keeper_facts *facts)
{
    const struct sim_db *db = &instance->db;

    facts->position = sim_db_position(db, db->position_known ? db->flushed : db->visible);
    facts->position_final = db->position_final;
    facts->held = facts->position;
    if (sim->mutant == MUTANT_POSITION_OPEN) {
        facts->position_final = true;
    }
    if (db->upstream != 0) {
        facts->conninfo_of = sim->instances[db->upstream].id;
        memcpy(facts->conninfo_address, db->upstream_address, ADDRESS_SIZE);
    }
    facts->receiver_running = db->receiver && sim->mutant != MUTANT_RECEIVER_LIVES;
    facts->receiver_streaming = db->receiver;
    facts->receiver_silence_ms = (uint32_t)((sim->now_us - db->receiver_heard_us) / SIM_MS);
}

static void
primary_facts(struct sim *sim, const struct sim_instance *instance, struct keeper_facts *facts)
{
    const struct sim_db *db = &instance->db;

    facts->position = sim_db_position(db, db->flushed);
    if (db->fork_read) {
        facts->fork = db->fork;
    }
    facts->sync_set_version = db->set_version;
    facts->sync_confirmed_version = db->confirmed_version;
    facts->slots_epoch = db->slots_epoch;
    facts->slots_index = db->slots_index;
    facts->canary_epoch = db->canary_epoch;
    facts->acked = sim_db_position(db, db->acked);
    facts->held = facts->position;
    for (uint32_t i = 1; i <= sim->instances_count; i++) {
        const struct walsender *sender = &db->senders[i];
        if (!sender->connected || facts->streaming_count == SYNC_SET_MAX) {
            continue;
        }
        struct sync_member member = {.instance = sim->instances[i].id,
                                     .incarnation = sender->incarnation};
        facts->streaming[facts->streaming_count++] = member;
        if (!sender->copy && sender->flushed <= db->wal_count) {
            marks_raise(&facts->confirmed, member, sim_db_position(db, sender->flushed));
        }
        if (sender->flushed + CAUGHT_UP_ENTRIES >= db->flushed) {
            facts->caught_up[facts->caught_up_count++] = member;
        }
    }
}

static void effect_database(struct sim *sim, struct sim_instance *instance)
{
    const struct keeper_action *action = &instance->car.action;
    struct sim_db *db = &instance->db;
    const struct sim_instance *upstream =
        sim_instance_by_id(sim, instance->shard, action->upstream);
    uint32_t upstream_number = upstream != NULL ? upstream->number : 0;

    switch (action->kind) {
    case KEEPER_INIT:
        db->folder = true;
        db->folder_id++;
        db->by_hand = false;
        db->nonce = instance->car.start_nonce;
        sim_db_append(
            sim, instance, (struct wal_entry){.timeline = 1, .serial = ++sim->serial_last});
        db->flushed = db->wal_count;
        break;
    case KEEPER_CLONE:
        sim_db_clone(sim, instance, upstream_number);
        break;
    case KEEPER_REBUILD:
        sim_db_die(sim, instance, true);
        db->folder = false;
        db->wal_count = 0;
        db->flushed = 0;
        break;
    case KEEPER_START:
        sim_db_start(sim, instance, upstream_number, action->upstream_address);
        break;
    case KEEPER_STOP:
        sim_db_die(sim, instance, true);
        break;
    case KEEPER_FOLLOW:
        if (!db->hung) {
            sim_db_set_upstream(sim, instance, upstream_number, action->upstream_address);
        }
        break;
    case KEEPER_CUT:
        if (!db->hung) {
            sim_db_set_upstream(sim, instance, 0, "");
        }
        break;
    case KEEPER_FINAL_POSITION:
        if (db->process == DB_STANDBY && !db->hung && !db->receiver &&
            db->flushed == db->wal_count) {
            db->position_known = true;
            db->position_final = true;
        }
        break;
    case KEEPER_FENCE:
        sim_guard_kill(sim, instance, FENCE_US);
        break;
    case KEEPER_PROMOTE:
    case KEEPER_SET_SYNC:
    case KEEPER_SLOTS:
    case KEEPER_CANARY:
    case KEEPER_CONFIRM_SYNC:
        effect_primary(sim, instance);
        break;
    case KEEPER_NONE:
    case KEEPER_WAIT:
    case KEEPER_REFUSE:
    case KEEPER_PERSIST:
    case KEEPER_PROVE:
    case KEEPER_ACTION_COUNT:
        UNREACHABLE("does nothing to the database");
    }
}

static void effect_primary(struct sim *sim, struct sim_instance *instance)
{
    const struct goal *goal = &instance->car.action_goal;
    struct sim_db *db = &instance->db;

    if (db->hung) {
        return;
    }
    if (instance->car.action.kind == KEEPER_PROMOTE && db->dies_promoted) {
        promotion_dies(sim, instance);
        return;
    }
    if (instance->car.action.kind == KEEPER_PROMOTE) {
        sim_db_promote(sim, instance, goal->epoch, goal->timeline);
        return;
    }
    if (db->process != DB_PRIMARY || db->epoch.value != goal->epoch.value) {
        return;
    }
    if (instance->car.action.kind == KEEPER_SET_SYNC) {
        sim_db_set_sync(sim, instance, &goal->sync, goal->sync_version);
    } else if (instance->car.action.kind == KEEPER_SLOTS) {
        db->slots_epoch = goal->epoch;
        db->slots_index = goal->index;
    } else if (instance->car.action.kind == KEEPER_CANARY) {
        sim_db_append(sim, instance, (struct wal_entry){.timeline = db->fork.timeline});
        db->canary_epoch = db->epoch; /* confirmed, or seen to wait until the action ends */
    } else if (db->set_version == goal->sync_version && sim_db_sync_confirmed(sim, instance)) {
        db->confirmed_version = goal->sync_version;
        sim_superuser_confirmed(sim, instance);
    }
}

/* A full disk, say. Whoever chooses remembers it: the pauses grow, and others come first. */
static void promotion_dies(struct sim *sim, struct sim_instance *instance)
{
    sim_db_die(sim, instance, true);
    instance->db.promotion_deaths++;
    if (instance->db.promotion_deaths > PROMOTION_DEATHS_MAX) {
        sim_fail(sim,
                 "i%u: promoted in vain %u times in a row",
                 instance->number,
                 instance->db.promotion_deaths);
    }
}
