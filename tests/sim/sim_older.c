/* SPDX-License-Identifier: Apache-2.0 */
/* Folders that are set back: the data folder of an instance is put in the place of itself as it was
 * some seconds ago, with the sidecar's state folder or without; and what a guardian remembers of
 * the starts it made. Only where the rules promise to notice it: a folder alone is known to its own
 * state folder; a whole machine to the others, so that one is taken that was in office, of whom
 * nobody is believed without witnesses. */
#include "tests/sim/sim_world.h"

#include "base/mem.h"

#include <string.h>

static bool is_known_to_be_older(const struct sim *sim, const struct sim_instance *instance);
static void put_back(struct sim_instance *instance);

/* The guardian starts the database: what it finds in the folder is what it left there, or not. */
void sim_older_started(struct sim *sim, struct sim_instance *instance)
{
    struct sim_guardian *guardian = &instance->guardian;
    struct sim_db *db = &instance->db;

    if (guardian->nonce != db->nonce || instance->car.start_nonce != db->nonce ||
        guardian->folder_id != db->folder_id) {
        guardian->office_nonce = 0;
    }
    db->nonce = ++sim->serial_last;
    instance->car.start_nonce = db->nonce;
    guardian->nonce = db->nonce;
    guardian->folder_id = db->folder_id;
}

void sim_older_guardian_gone(struct sim_instance *instance)
{
    instance->guardian.nonce = 0;
    instance->guardian.office_nonce = 0;
    instance->guardian.folder_id = 0;
}

bool sim_older_is_continuous(const struct sim *sim, const struct sim_instance *instance)
{
    const struct sim_guardian *guardian = &instance->guardian;
    const struct sim_db *db = &instance->db;
    bool same = db->nonce == guardian->nonce && instance->car.start_nonce == db->nonce &&
                db->folder_id == guardian->folder_id;

    if (sim->mutant == MUTANT_FOLDER_UNCHECKED) {
        return !guardian->writable && !guardian->killing;
    }
    return guardian->office_nonce != 0 && !guardian->writable && !guardian->killing &&
           (db->process != DB_DOWN || same);
}

void sim_older_take_image(struct sim *sim, struct sim_instance *instance, bool with_state)
{
    struct sim_db *db = &instance->db;
    struct sim_image *image = &instance->image;

    if (!db->folder || db->flushed == 0 || instance->car.turn.state.building ||
        (with_state && db->process != DB_PRIMARY)) {
        return;
    }
    mem_free(image->wal);
    *image = (struct sim_image){
        .taken = true,
        .with_state = with_state,
        .wal = mem_dup(db->wal, db->flushed * sizeof(db->wal[0])),
        .count = db->flushed,
        .nonce = db->nonce,
        .start_nonce = instance->car.start_nonce,
        .state = instance->car.turn.state,
        .marks = instance->car.marks_saved,
    };
    sim_trace(sim,
              "i%u: image of %lu entries%s",
              instance->number,
              (unsigned long)image->count,
              with_state ? ", with its state" : "");
}

/* Nothing of the instance runs. */
void sim_older_put_back(struct sim *sim, struct sim_instance *instance)
{
    struct sim_image *image = &instance->image;

    if (image->taken && is_known_to_be_older(sim, instance)) {
        sim_trace(sim,
                  "i%u: set back from %lu to %lu entries",
                  instance->number,
                  (unsigned long)instance->db.flushed,
                  (unsigned long)image->count);
        put_back(instance);
        sim_by_hand_note(sim, instance);
        instance->older_than = sim_db_position(&instance->db, instance->db.wal_count);
        sim->set_back++;
    }
    image->taken = false;
    mem_free(image->wal);
    image->wal = NULL;
}

bool sim_older_is_lost(const struct sim *sim, const struct sim_instance *instance)
{
    if (instance->older_than.timeline == 0) {
        return false;
    }
    struct sync_member self = {instance->id, instance->car.turn.state.incarnation};
    struct position mark = marks_of(&instance->car.marks, self);
    for (uint32_t k = 1; k <= sim->instances_count; k++) {
        struct position other = marks_of(&sim->instances[k].car.marks, self);
        mark = position_compare(other, mark) > 0 ? other : mark;
    }
    struct position held = sim_db_position(&instance->db, instance->db.flushed);
    return position_compare(held, mark) < 0;
}

static bool is_known_to_be_older(const struct sim *sim, const struct sim_instance *instance)
{
    const struct sim_image *image = &instance->image;
    const struct keeper_state *state = &instance->car.turn.state;
    struct sync_member self = {instance->id, state->incarnation};
    struct position end = {.timeline = image->wal[image->count - 1].timeline,
                           .lsn = image->count * SIM_LSN_PER_ENTRY};

    (void)sim;
    if (!instance->db.folder || state->building ||
        state->incarnation.value != image->state.incarnation.value) {
        return false;
    }
    if (image->with_state) {
        return state->writable_epoch.value == image->state.writable_epoch.value &&
               state->fenced_epoch.value == image->state.fenced_epoch.value;
    }
    return position_compare(end, marks_of(&instance->car.marks_saved, self)) < 0;
}

static void put_back(struct sim_instance *instance)
{
    const struct sim_image *image = &instance->image;
    struct sim_db *db = &instance->db;

    memcpy(db->wal, image->wal, image->count * sizeof(db->wal[0]));
    db->wal_count = image->count;
    db->flushed = image->count;
    db->acked = image->count;
    db->nonce = image->nonce;
    db->folder_id++;
    if (image->with_state) {
        instance->car.turn.state = image->state;
        instance->car.marks = image->marks;
        instance->car.marks_saved = image->marks;
        instance->car.start_nonce = image->start_nonce;
    }
}
