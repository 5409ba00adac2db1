/* SPDX-License-Identifier: Apache-2.0 */
/* Faults that a member's node has to find by itself: a state that is not that of the others, a disk
 * that does not answer, an apply thread that is behind. */
#include "tests/sim/sim_world.h"

#include "base/check.h"
#include "node/node_internal.h"

#include <string.h>

enum {
    LAG_MAX = 3, /* entries */
};

static bool may_be_wrong(struct sim *sim, const struct sim_member *member);
static void make_wrong(struct sim *sim, struct sim_member *member);

void sim_fault_node(struct sim *sim, enum sim_fault_kind kind, uint32_t target, uint64_t lasts_us)
{
    struct sim_member *member = &sim->members[target];

    if (kind == FAULT_DISK_HANGS) {
        if (sim->now_us >= member->disk_hangs_until_us) {
            member->disk_hangs_since_us = sim->now_us;
        }
        member->disk_hangs_until_us = sim->now_us + lasts_us;
    } else if (kind == FAULT_APPLY_SLOW) {
        member->apply_slow = true;
    } else if (may_be_wrong(sim, member)) {
        make_wrong(sim, member);
    }
}

bool sim_wrong_any(const struct sim *sim)
{
    for (uint32_t i = 1; i <= sim->members_count; i++) {
        if (sim->members[i].wrong) {
            return true;
        }
    }
    return false;
}

/* What the others hold at the same index, if somebody whose state is right was there before. */
bool sim_wrong_is(const struct sim *sim, const struct tables *tables)
{
    struct apply_position position;

    apply_position(tables, &position);
    return position.index > 0 && position.index <= sim->applied_count &&
           sim->applied[position.index].state_hash != 0 &&
           sim->applied[position.index].state_hash != position.state_hash;
}

bool sim_wrong_for_good(const struct sim_member *member)
{
    return member->up && member->core->quarantine.contradicted;
}

/* One at a time, while everybody else is well, and only where an operator can replace it: what is
 * in its snapshots as well is not made right by making it anew. And nobody may need a snapshot:
 * where only two states can be compared neither is handed on, and a person has to say which is
 * right. */
static bool may_be_wrong(struct sim *sim, const struct sim_member *member)
{
    const struct sim_member *leader = sim_leader(sim);
    struct raft_status status;

    if (!sim->swarm.changes || !member->up || member->paused || member->applied == 0 ||
        sim_wrong_any(sim) || !sim_operator_can_lose_one(sim)) {
        return false;
    }
    raft_status(node_raft(leader->core), &status);
    for (uint32_t i = 0; i < status.configuration.count; i++) {
        const struct sim_member *other =
            &sim->members[sim_node_of(status.configuration.servers[i].id)];
        if (other->applied + LAG_MAX < leader->applied || other->applied + 1 < status.first_index) {
            return false;
        }
    }
    return true;
}

/* A bit of the hash, as a bit of a row would do from the next entry on. */
static void make_wrong(struct sim *sim, struct sim_member *member)
{
    static const char KEY[] = "position";
    struct slice value;
    uint8_t bytes[64];

    enum error error = tables_get(&member->tables, TABLE_META, slice_of_string(KEY), &value);
    CHECK(error == ERR_OK && value.len <= sizeof(bytes));
    memcpy(bytes, value.data, value.len);
    bytes[value.len - 1] ^= (uint8_t)prng_between(&sim->faults, 1, UINT8_MAX);
    tables_put(&member->tables, TABLE_META, slice_of_string(KEY), slice_of(bytes, value.len));
    member->wrong = true;
    sim->wrong_states++;
    sim_trace(sim, "the state of member %u goes wrong", member->node);
}
