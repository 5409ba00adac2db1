/* SPDX-License-Identifier: Apache-2.0 */
/* What must hold, checked when it happens: one leader a term, one history of the state, no clock
 * proof while the lease runs, acknowledged sync writes in every later primary, no acknowledgement
 * under an old epoch of a write checked after a newer one's. */
#include "tests/sim/sim_world.h"

#include "base/check.h"
#include "base/hash.h"
#include "base/mem.h"
#include "state/query.h"

#include <inttypes.h>
#include <string.h>

enum {
    ROOT_EVERY = 16, /* entries; the state hash is compared at each */
};

static bool holds(const struct sim *sim, const struct sim_instance *instance, uint64_t number);
static void
check_all_held(struct sim *sim, const struct sim_instance *instance, uint64_t epoch_min);
static void check_members_ran(struct sim *sim, const struct shard_view *view);
static const struct sim_instance *primary_of(struct sim *sim,
                                             const struct sim_member *leader,
                                             uint32_t shard,
                                             struct shard_view *view_out);

void sim_check_applied(struct sim *sim, struct sim_member *member, uint64_t index, uint64_t term)
{
    struct apply_position position;
    struct sim_applied own = {.term = term};

    apply_position(&member->tables, &position);
    own.state_hash = position.state_hash;
    if (index % ROOT_EVERY == 0) {
        struct ledger_head head;
        query_ledger_head(&member->tables, &head);
        own.root_hash = hash_xxh3(&head.root, sizeof(head.root), head.size);
    }
    while (index >= sim->applied_cap) {
        sim->applied_cap = sim->applied_cap == 0 ? 1024 : sim->applied_cap * 2;
        sim->applied = mem_resize(sim->applied, sim->applied_cap * sizeof(sim->applied[0]));
    }
    if (member->wrong) {
        own.state_hash = 0; /* it says nothing of what is right */
        own.root_hash = 0;
    }
    if (index > sim->applied_count) {
        CHECK(index == sim->applied_count + 1);
        sim->applied[index] = own;
        sim->applied_count = index;
    } else if (member->wrong) {
        return;
    } else if (sim->applied[index].state_hash == 0) {
        sim->applied[index] = own;
    } else if (memcmp(&sim->applied[index], &own, sizeof(own)) != 0) {
        sim_fail(sim,
                 "member %u applied something else at index %" PRIu64 " (term %" PRIu64 ")",
                 member->node,
                 index,
                 term);
    }
}

void sim_check_leader(struct sim *sim, const struct sim_member *member)
{
    if (member->role != RAFT_LEADER) {
        return;
    }
    if (member->term >= sim->term_leaders_count) {
        uint64_t count = member->term * 2 + 64;
        sim->term_leaders = mem_resize(sim->term_leaders, count * sizeof(sim->term_leaders[0]));
        memset(&sim->term_leaders[sim->term_leaders_count],
               0,
               (count - sim->term_leaders_count) * sizeof(sim->term_leaders[0]));
        sim->term_leaders_count = count;
    }
    struct member_id *leader = &sim->term_leaders[member->term];
    if (member_id_is_none(*leader)) {
        *leader = member->id;
    } else if (!member_id_equal(*leader, member->id)) {
        sim_fail(sim, "two leaders in term %" PRIu64, member->term);
    }
}

void sim_check_view(struct sim *sim, const struct shard_view *view)
{
    struct sim_shard *shard = &sim->shards[view->shard.id.value];

    for (uint32_t i = 0; i < view->instances_count; i++) {
        uint32_t number = sim_number_of_address(view->instances[i].address);
        CHECK(number > 0 && number <= sim->instances_count);
        sim->instances[number].id = view->instances[i].id;
    }
    if (view->shard.changed_index <= shard->view_index) {
        return; /* somebody else applied it before */
    }
    shard->view_index = view->shard.changed_index;
    if (view->shard.epoch.value < shard->view_epoch.value ||
        position_compare(view->shard.floor, shard->view_floor) < 0) {
        sim_fail(sim, "shard %u: epoch or floor went back", view->shard.id.value);
    }
    check_members_ran(sim, view);
    shard->view_epoch = view->shard.epoch;
    shard->view_floor = view->shard.floor;
    if (view->failover.step == FAILOVER_DONE && view->failover.id != shard->done_id) {
        shard->done_id = view->failover.id;
        shard->failovers++;
        shard->in_place += view->failover.in_place;
        sim_trace(sim,
                  "shard %u: failover %" PRIu64 " of epoch %" PRIu64 " done (%s, %s)",
                  view->shard.id.value,
                  view->failover.id,
                  view->failover.epoch.value,
                  failover_cause_name(view->failover.cause),
                  exclusion_proof_name(view->failover.proof));
    }
}

/* Whoever is recorded may have been the only one to confirm a write: a data folder that no database
 * has ever run on holds nothing that could be reported. */
static void check_members_ran(struct sim *sim, const struct shard_view *view)
{
    const struct sync_record *sync = &view->shard.sync;

    for (uint32_t i = 0;
         sync->pairs_count > 0 && i < sync->pairs[sync->pairs_count - 1].members_count;
         i++) {
        struct sync_member member = sync->pairs[sync->pairs_count - 1].members[i];
        const struct sim_instance *instance =
            sim_instance_by_id(sim, view->shard.id.value, member.instance);
        if (instance != NULL &&
            instance->car.turn.state.incarnation.value == member.incarnation.value &&
            instance->ran.value != member.incarnation.value) {
            sim_fail(sim, "i%u is in the sync record, but has never run", instance->number);
        }
    }
}

/* The clock proof, at the moment it is given: the old primary's lease has ended in true time. */
void sim_check_proposal(struct sim *sim,
                        const struct sim_member *member,
                        const struct command *command)
{
    struct shard_view view;
    if (command->kind == COMMAND_FAILOVER_BEGIN || command->kind == COMMAND_SYNC_MENDED) {
        struct shard_id id =
            command->kind == COMMAND_SYNC_MENDED ? command->sync.shard : command->failover.shard;
        if (query_shard(&member->tables, id, &view) == ERR_OK) {
            sim_superuser_check(sim, member, command, &view);
        }
    }
    if (command->kind != COMMAND_FAILOVER_EXCLUDED || command->failover.proof != PROOF_CLOCK) {
        return;
    }
    enum error error = query_shard(&member->tables, command->failover.shard, &view);
    CHECK(error == ERR_OK);
    const struct sim_instance *old =
        sim_instance_by_id(sim, command->failover.shard.value, view.failover.old_primary);
    if (old == NULL || old->guardian.epoch.value != view.failover.old_epoch.value ||
        sim->clocks[old->node].standing) {
        return;
    }
    uint64_t end_us = old->guardian.deadline_us + LEASE_MARGIN_MS * SIM_MS;
    if (sim_clock_read(sim, old->node) < end_us) {
        sim_fail(sim,
                 "shard %u: proof by clock while the lease of i%u runs for %" PRIu64 " us more",
                 command->failover.shard.value,
                 old->number,
                 end_us - sim_clock_read(sim, old->node));
    }
}

void sim_check_promotion(struct sim *sim, struct sim_instance *instance)
{
    struct sim_shard *shard = &sim->shards[instance->shard];

    /* Late, under an older epoch: in sync mode it may, since nobody confirms its writes. */
    if (instance->db.epoch.value < shard->promoted_epoch && shard->mode == SHARD_SYNC) {
        return;
    }
    if (instance->db.epoch.value <= shard->promoted_epoch) {
        sim_fail(sim,
                 "shard %u: i%u is promoted under epoch %" PRIu64 ", i%u was under %" PRIu64,
                 instance->shard,
                 instance->number,
                 instance->db.epoch.value,
                 shard->promoted_instance,
                 shard->promoted_epoch);
        return;
    }
    shard->promoted_epoch = instance->db.epoch.value;
    shard->promoted_instance = instance->number;
    if (shard->mode == SHARD_SYNC) {
        check_all_held(sim, instance, 0);
    }
}

void sim_check_ack(struct sim *sim,
                   struct sim_instance *instance,
                   const struct sim_write *write,
                   uint64_t number)
{
    struct sim_shard *shard = &sim->shards[instance->shard];
    const struct sim_instance *newer = &sim->instances[shard->promoted_instance];

    sim_mix(sim, number);
    shard->acked_count++;
    shard->last_acked_us = sim->now_us;
    shard->last_acked_epoch = write->epoch;
    if (write->lapsed) {
        return; /* without a gate nothing but the lease holds these back */
    }
    if (write->epoch > shard->acked_epoch) {
        shard->acked_epoch = write->epoch;
        shard->first_check_us = write->checked_us;
    } else if (write->epoch < shard->acked_epoch && write->checked_us >= shard->first_check_us) {
        sim_fail(sim,
                 "shard %u: two primaries: i%u acknowledged under epoch %" PRIu64
                 " what it checked after a write under epoch %" PRIu64,
                 instance->shard,
                 instance->number,
                 write->epoch,
                 shard->acked_epoch);
    }
    if (shard->mode == SHARD_SYNC && write->epoch < shard->promoted_epoch &&
        newer->db.epoch.value == shard->promoted_epoch && !holds(sim, newer, number)) {
        sim_fail(sim,
                 "shard %u: i%u acknowledged late, under epoch %" PRIu64
                 ", a write that i%u of epoch %" PRIu64 " does not hold",
                 instance->shard,
                 instance->number,
                 write->epoch,
                 newer->number,
                 shard->promoted_epoch);
    }
}

/* Folders were set back or written by hand, and those that are left are not enough to go on: no
 * quorum of the record in sync mode, or nobody who holds what the shard began with. */
static bool needs_a_person(const struct sim *sim,
                           uint32_t shard,
                           const struct sim_instance *primary,
                           const struct shard_view *view)
{
    struct sync_member good[SHARD_INSTANCES_MAX];
    uint32_t good_count = 0;
    bool lost = false;
    bool somebody = false;

    if (primary == NULL || primary->db.process == DB_PRIMARY) {
        return false;
    }
    for (uint32_t i = 1; i <= sim->instances_count; i++) {
        const struct sim_instance *instance = &sim->instances[i];
        if (instance->shard != shard) {
            continue;
        }
        if (sim_by_hand_is_lost(sim, instance, &view->shard.sync) ||
            sim_older_is_lost(sim, instance)) {
            lost = true;
        } else if (instance != primary) {
            good[good_count++] = (struct sync_member){
                .instance = instance->id, .incarnation = instance->car.turn.state.incarnation};
            struct position held = sim_db_position(&instance->db, instance->db.flushed);
            somebody = somebody || position_compare(held, view->shard.floor) >= 0;
        }
    }
    bool quorum =
        view->shard.mode == SHARD_ASYNC || sync_record_quorum(&view->shard.sync, good, good_count);
    return lost && !(quorum && somebody);
}

bool sim_check_live(struct sim *sim, char *missing, size_t size)
{
    const struct sim_member *leader = sim_leader(sim);

    if (leader == NULL) {
        (void)snprintf(missing, size, "no leader");
        return false;
    }
    if (!sim_operator_done(sim, missing, size)) {
        return false;
    }
    if (sim->clients.answered_invoke_us <= sim->healed_us) {
        (void)snprintf(missing, size, "no operation of a client since");
        return false;
    }
    for (uint32_t i = 1; i <= sim->shards_count; i++) {
        const struct sim_shard *shard = &sim->shards[i];
        struct shard_view view;
        const struct sim_instance *primary = primary_of(sim, leader, i, &view);
        if (needs_a_person(sim, i, primary, &view)) {
            continue;
        }
        if (primary == NULL || !view.shard.opened || view.failover.step != FAILOVER_DONE) {
            char waiting[TEXT_SIZE];
            controller_waiting(node_controller(leader->core), (struct shard_id){i}, waiting);
            (void)snprintf(missing,
                           size,
                           "shard %u is in step %s: %.180s",
                           i,
                           failover_step_name(primary == NULL ? FAILOVER_NONE : view.failover.step),
                           waiting);
            return false;
        }
        if (shard->last_acked_us <= sim->healed_us + 1000 * SIM_MS ||
            shard->last_acked_epoch != view.shard.primary_epoch.value) {
            (void)snprintf(
                missing, size, "shard %u: no write acknowledged by i%u since", i, primary->number);
            return false;
        }
    }
    return true;
}

void sim_check_end(struct sim *sim)
{
    const struct sim_member *leader = sim_leader(sim);

    sim_clients_judge(sim);
    sim_superuser_check_end(sim);
    for (uint32_t i = 1; i <= sim->shards_count && leader != NULL; i++) {
        struct shard_view view;
        const struct sim_instance *primary = primary_of(sim, leader, i, &view);
        if (primary != NULL && !needs_a_person(sim, i, primary, &view)) {
            check_all_held(sim,
                           primary,
                           sim->shards[i].mode == SHARD_SYNC ? 0 : view.shard.primary_epoch.value);
        }
    }
}

static bool holds(const struct sim *sim, const struct sim_instance *instance, uint64_t number)
{
    const struct sim_write *write = &sim->writes[number];

    return write->place <= instance->db.wal_count &&
           instance->db.wal[write->place - 1].write == number;
}

static void check_all_held(struct sim *sim, const struct sim_instance *instance, uint64_t epoch_min)
{
    for (uint64_t i = 1; i <= sim->writes_count; i++) {
        const struct sim_write *write = &sim->writes[i];
        if (write->shard != instance->shard || write->acked_us == 0 || write->lapsed ||
            write->epoch < epoch_min || holds(sim, instance, i)) {
            continue;
        }
        sim_fail(sim,
                 "shard %u: i%u of epoch %" PRIu64 " does not hold write %" PRIu64
                 ", acknowledged by i%u under epoch %" PRIu64 " at %" PRIu64 " ms",
                 instance->shard,
                 instance->number,
                 instance->db.epoch.value,
                 i,
                 write->instance,
                 write->epoch,
                 write->acked_us / SIM_MS);
        return;
    }
}

static const struct sim_instance *primary_of(struct sim *sim,
                                             const struct sim_member *leader,
                                             uint32_t shard,
                                             struct shard_view *view_out)
{
    if (query_shard(&leader->tables, (struct shard_id){shard}, view_out) != ERR_OK) {
        return NULL;
    }
    return sim_instance_by_id(sim, shard, view_out->shard.primary);
}
