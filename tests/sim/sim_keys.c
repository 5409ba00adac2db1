/* SPDX-License-Identifier: Apache-2.0 */
/* Clients of the key-value store in miniature: now and then the leader proposes a batch of puts,
 * deletions, leases and compactions on a few keys. What it is for: the entries that share digest
 * leaves, and rows that are swept away later, through crashes, changes of leaders and whatever else
 * a world does to its members; sim_check_applied compares what each of them makes of it. */
#include "tests/sim/sim_world.h"

#include "state/kv.h"

#include <inttypes.h>
#include <stdio.h>
#include <string.h>

enum {
    KEYS = 12,
    LOAD_KEYS = 1000,
    LEASES = 4,
    OPS_MAX = 40,
    TEXT_MAX = 32
};

static void propose_batch(struct sim_member *member, const struct buf *batch);
static void add_op(struct sim *sim, const struct sim_member *member, struct buf *batch);
static struct kv_op lease_op(struct sim *sim);

void sim_keys_propose(struct sim *sim, struct sim_member *member)
{
    struct buf batch = {0};

    for (uint64_t ops = 1 + prng_below(&sim->keys, OPS_MAX); ops > 0; ops--) {
        add_op(sim, member, &batch);
    }
    propose_batch(member, &batch);
    buf_deinit(&batch);
}

void sim_load(struct sim *sim)
{
    struct sim_member *leader = sim_leader(sim);
    struct buf batch = {0};
    struct kv_op op = {.kind = KV_OP_PUT};
    char key[TEXT_MAX];

    if (sim->swarm.load_us == 0) {
        return;
    }
    sim_after(sim, sim->swarm.load_us, (struct sim_item){.kind = EV_LOAD});
    if (leader == NULL) {
        return;
    }
    (void)snprintf(key, sizeof(key), "key-%" PRIu64, prng_below(&sim->keys, LOAD_KEYS));
    op.put.key = slice_of_string(key);
    op.put.value = slice_of_string(key);
    kv_op_encode(&batch, &op);
    propose_batch(leader, &batch);
    buf_deinit(&batch);
    sim_member_settle(sim, leader);
}

static void propose_batch(struct sim_member *member, const struct buf *batch)
{
    static struct command command;

    memset(&command, 0, sizeof(command));
    command.kind = COMMAND_KV;
    command.leader_term = member->term;
    command.kv.batch = buf_view(batch);
    sim_member_propose(member, &command);
}

static void add_op(struct sim *sim, const struct sim_member *member, struct buf *batch)
{
    char key[TEXT_MAX];
    char value[TEXT_MAX];
    uint64_t roll = prng_below(&sim->keys, 100);
    struct kv_op op = {.kind = KV_OP_PUT};

    (void)snprintf(key, sizeof(key), "key-%" PRIu64, prng_below(&sim->keys, KEYS));
    (void)snprintf(value, sizeof(value), "%u at %" PRIu64, member->node, sim->now_us);
    op.put.key = slice_of_string(key);
    op.put.value = slice_of_string(value);
    op.put.lease = roll < 20 ? 1 + (int64_t)prng_below(&sim->keys, LEASES) : 0;
    if (roll >= 70 && roll < 85) {
        op = (struct kv_op){.kind = KV_OP_DELETE, .del.range.key = slice_of_string(key)};
        op.del.range.end = roll < 73 ? slice_of("", 1) : (struct slice){0};
    } else if (roll >= 85 && roll < 97) {
        op = lease_op(sim);
    } else if (roll >= 97) {
        struct kv_position position;
        kv_position(&member->tables, &position);
        op = (struct kv_op){.kind = KV_OP_COMPACT, .compact_revision = position.revision - 20};
    }
    kv_op_encode(batch, &op);
}

static struct kv_op lease_op(struct sim *sim)
{
    bool grant = prng_chance(&sim->keys, 600);
    struct kv_op op = {.kind = grant ? KV_OP_LEASE_GRANT : KV_OP_LEASE_REVOKE};

    op.lease.id = 1 + (int64_t)prng_below(&sim->keys, LEASES);
    op.lease.ttl = 60;
    return op;
}
