/* SPDX-License-Identifier: Apache-2.0 */
/* A superuser of a database empties synchronous_standby_names and reloads: from then on commits are
 * acknowledged as soon as the primary has flushed them. What of that is lost by a failover is
 * excused; that the failover says nothing of it is not, once its leader was told. */
#include "tests/sim/sim_world.h"

#include "base/check.h"

#include <string.h>

enum {
    PROBE_US = 250 * SIM_MS,
    LEFT_US = 30 * 1000 * SIM_MS, /* so long a running sidecar has to put settings back */
};

void sim_superuser(struct sim *sim, struct sim_instance *instance)
{
    struct sim_db *db = &instance->db;

    if (db->process != DB_PRIMARY || db->hung || sim->shards[instance->shard].mode != SHARD_SYNC ||
        db->emptied) {
        return;
    }
    sim_db_change_setting(sim, instance, &(struct sync_pair){0});
    db->emptied = true;
    db->emptied_us = sim->now_us;
    db->found_us = db->lapsed ? db->found_us : 0;
    sim_trace(sim, "i%u: a superuser empties the sync names", instance->number);
    sim_db_release_alone(sim, instance);
}

/* What a probe sees, some time after it happened. */
void sim_superuser_look(struct sim *sim, struct sim_instance *instance, struct keeper_facts *facts)
{
    struct sim_db *db = &instance->db;
    struct sim_car *car = &instance->car;

    if (db->process != DB_PRIMARY) {
        car->lapsed = false;
        car->put_back = false;
        return;
    }
    if (db->emptied && !car->put_back && car->running == KEEPER_NONE &&
        sim->now_us - db->emptied_us >= PROBE_US) {
        sim_superuser_found(sim, instance);
    }
    facts->put_back = car->put_back;
    if (car->lapsed && sim->mutant != MUTANT_LAPSE_UNTOLD) {
        memcpy(facts->lapse, "names are ''", sizeof("names are ''"));
    }
}

/* A look, or an action that is about to overwrite it, found the setting gone. */
void sim_superuser_found(struct sim *sim, struct sim_instance *instance)
{
    struct sim_car *car = &instance->car;

    car->lapsed = true;
    instance->db.found_us = instance->db.found_us == 0 ? sim->now_us : instance->db.found_us;
    instance->db.confirmed_version = 0;
    if (sim->mutant != MUTANT_NOT_PUT_BACK) {
        car->put_back = true;
        instance->db.set_version = 0;
    }
}

/* The sidecar saw its setting in force again, and enough standbys behind all that was written. */
void sim_superuser_confirmed(struct sim *sim, struct sim_instance *instance)
{
    struct sim_db *db = &instance->db;

    if (db->emptied || instance->car.put_back || db->settings[0].members_count == 0) {
        return;
    }
    instance->car.lapsed = false;
    for (uint64_t i = 1; i <= sim->writes_count && db->lapsed; i++) {
        struct sim_write *write = &sim->writes[i];
        bool held = write->instance == instance->number && write->epoch == db->epoch.value;
        write->lapsed = write->lapsed && !held;
    }
    db->lapsed = false;
}

/* A leader heard a report: what does it know of a lapse? */
void sim_superuser_told(struct sim *sim,
                        const struct sim_member *member,
                        const struct sim_body *body,
                        uint32_t number)
{
    struct sim_shard *shard = &sim->shards[sim->instances[number].shard];

    sim->instances[number].told_us = body->made_us;
    if (body->lapsed) {
        shard->told_term = member->term;
        shard->told_instance = number;
    } else if (shard->told_instance == number) {
        shard->told_instance = 0;
    }
}

void sim_superuser_check(struct sim *sim,
                         const struct sim_member *member,
                         const struct command *command,
                         const struct shard_view *view)
{
    const struct sim_shard *shard = &sim->shards[view->shard.id.value];
    const struct sim_instance *old =
        sim_instance_by_id(sim, view->shard.id.value, view->shard.primary);

    if (view->shard.mode != SHARD_SYNC || old == NULL) {
        return;
    }
    bool told = shard->told_instance == old->number && shard->told_term == member->term;
    if (command->kind == COMMAND_FAILOVER_BEGIN && told &&
        command->failover.could_lose[0] == '\0' && view->shard.lapse[0] == '\0' &&
        view->failover.could_lose[0] == '\0') {
        sim_fail(sim,
                 "shard %u: a failover begins without a word of the lapse of i%u",
                 view->shard.id.value,
                 old->number);
    }
    /* One that began a moment ago, behind an older one, is not known to anybody yet. */
    bool known = old->db.found_us != 0 && old->db.found_us <= old->told_us;
    if (command->kind == COMMAND_SYNC_MENDED && old->db.lapsed && known &&
        old->db.lapsed_epoch == view->shard.primary_epoch.value) {
        sim_fail(sim,
                 "shard %u: a lapse is said to be over while nobody but i%u may hold all of it",
                 view->shard.id.value,
                 old->number);
    }
}

void sim_superuser_check_end(struct sim *sim)
{
    for (uint32_t i = 1; i <= sim->instances_count; i++) {
        const struct sim_instance *instance = &sim->instances[i];
        if (instance->db.process == DB_PRIMARY && instance->db.emptied && instance->car.up &&
            sim->now_us - instance->db.emptied_us > LEFT_US &&
            instance->car.goal.role == GOAL_PRIMARY) {
            sim_fail(sim, "i%u: the sync names are empty still", i);
        }
    }
}
