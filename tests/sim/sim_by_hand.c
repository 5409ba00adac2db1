/* SPDX-License-Identifier: Apache-2.0 */
/* Folders of standbys that somebody runs by hand: writable, without their sidecar, or promoted to a
 * timeline whose number may be reserved for another one later. As PostgreSQL does it, such a folder
 * streams on afterwards if it is let, and reports what it has flushed of its own history. */
#include "tests/sim/sim_world.h"

enum {
    ENTRIES_MAX = 60, /* often more than the primary writes meanwhile */
};

static bool is_doubted(const struct sim *sim, const struct sim_instance *instance);

/* Its machine goes off first, and comes back with its sidecar at the end of the fault. One of a
 * shard at a time: whoever spoils all of them is beyond help. */
void sim_by_hand(struct sim *sim, struct sim_instance *instance)
{
    struct sim_db *db = &instance->db;

    if (!instance->up || instance->paused || db->process != DB_STANDBY ||
        instance->car.turn.state.building || db->flushed == 0) {
        return;
    }
    for (uint32_t i = 1; i <= sim->instances_count; i++) {
        const struct sim_instance *other = &sim->instances[i];
        if (other->shard == instance->shard &&
            (is_doubted(sim, other) ||
             other->by_hand.value == other->car.turn.state.incarnation.value)) {
            return;
        }
    }
    sim_machine_off(sim, instance, prng_chance(&sim->faults, 500));
    uint32_t timeline = db->wal[db->wal_count - 1].timeline;
    uint64_t count = prng_between(&sim->faults, 1, ENTRIES_MAX);
    if (prng_chance(&sim->faults, 400)) {
        timeline++;
    }
    for (uint64_t i = 0; i < count; i++) {
        sim_db_append(
            sim, instance, (struct wal_entry){.timeline = timeline, .serial = ++sim->serial_last});
    }
    db->flushed = db->wal_count;
    db->by_hand = true;
    instance->by_hand = instance->car.turn.state.incarnation;
    sim->by_hand++;
    sim_trace(sim,
              "i%u: %lu entries written by hand, on timeline %u",
              instance->number,
              (unsigned long)count,
              timeline);
}

/* As pg_lineage finds it: another folder, or one in which somebody ended a recovery. */
enum keeper_lineage sim_by_hand_lineage(const struct sim *sim, const struct sim_instance *instance)
{
    const struct sim_db *db = &instance->db;
    bool same = db->nonce == instance->car.start_nonce;

    if (db->process != DB_DOWN) {
        return LINEAGE_PROVEN; /* nothing else is started */
    }
    if (sim->mutant == MUTANT_FOREIGN_COUNTS) {
        return LINEAGE_PROVEN;
    }
    return same && !db->by_hand ? LINEAGE_PROVEN : LINEAGE_DOUBTED;
}

void sim_by_hand_note(const struct sim *sim, struct sim_instance *instance)
{
    if (is_doubted(sim, instance)) {
        instance->by_hand = instance->car.turn.state.incarnation;
    }
}

bool sim_by_hand_is_lost(const struct sim *sim,
                         const struct sim_instance *instance,
                         const struct sync_record *sync)
{
    struct sync_member was = {.instance = instance->id, .incarnation = instance->by_hand};

    return is_doubted(sim, instance) || sync_record_contains(sync, was);
}

static bool is_doubted(const struct sim *sim, const struct sim_instance *instance)
{
    return instance->db.folder && sim_by_hand_lineage(sim, instance) == LINEAGE_DOUBTED;
}
