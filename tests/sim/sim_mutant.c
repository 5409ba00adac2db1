/* SPDX-License-Identifier: Apache-2.0 */
/* Deliberate bugs of the fake parts, and worlds in which each has a chance to show. A checker that
 * finds none of them would be worthless. */
#include "tests/sim/sim_world.h"

#include "base/check.h"

static const char *const NAMES[] = {
    "none",
    "lease counted from the reply",
    "position reported before it is final",
    "sync change confirmed before it is seen",
    "receiver survives the cut",
    "fence reported without looking",
    "no placeholder in the sync setting",
    "sidecar forgets its state file",
    "nobody looks at the lease deadline",
    "clock rates of 6 %",
    "a copy under way reported as a standby",
    "a lapse of the sync names is not told",
    "emptied sync names are not put back",
    "a restart in place on whatever folder lies there",
    "a standby below what it acknowledged is counted",
    "what is promised is done before it is durable",
    "a foreign history counts",
    "a read without confirmation",
    "a read before its index is applied",
    "a put answered before it is committed",
    "a write told as durable before it is made",
    "a stranger is heard",
};

_Static_assert(ARRAY_LEN(NAMES) == MUTANT_COUNT, "one name per mutant");

const char *sim_mutant_name(enum sim_mutant mutant)
{
    return NAMES[mutant];
}

/* Bugs of sidecars and databases show where their own troubles are. */
static void quiet_members(struct sim_swarm *swarm)
{
    swarm->changes = false;
    swarm->members = swarm->founders;
    for (uint32_t i = FAULT_LINK_FLAPS; i < FAULT_COUNT; i++) {
        swarm->fault_weights[i] = 0;
    }
    swarm->fault_weights[FAULT_DB_CRASH] += 1; /* so that there is one at all */
}

static void no_single_member(struct sim_swarm *swarm)
{
    if (swarm->members == 1) {
        swarm->members = 3;
        swarm->founders = 3;
    }
}

void sim_mutant_swarm(struct sim *sim)
{
    struct sim_swarm *swarm = &sim->swarm;

    switch (sim->mutant) {
    case MUTANT_LEASE_FROM_REPLY:
    case MUTANT_CLOCKS_6:
        /* Async shards, and a primary that is unheard but lives. */
        swarm->async = true;
        swarm->clock_rates = true;
        swarm->clock_stands = false;
        break;
    case MUTANT_FENCE_UNVERIFIED:
    case MUTANT_DEADLINE_IGNORED:
        swarm->async = true;
        swarm->clock_stands = false;
        break;
    case MUTANT_SYNC_UNCONFIRMED:
        /* A raised W is where the old setting acknowledges what the new record does not cover. */
        swarm->async = false;
        swarm->two_copies_permille = 1000;
        break;
    case MUTANT_POSITION_OPEN:
    case MUTANT_RECEIVER_LIVES:
    case MUTANT_NO_PLACEHOLDER:
    case MUTANT_STATE_FORGOTTEN:
    case MUTANT_COPY_RUNS:
        swarm->async = false;
        break;
    case MUTANT_LAPSE_UNTOLD:
    case MUTANT_NOT_PUT_BACK:
        swarm->async = false;
        swarm->fault_weights[FAULT_SUPERUSER] += 10;
        swarm->fault_weights[FAULT_INSTANCE_KILLED] += 5;
        break;
    case MUTANT_FOLDER_UNCHECKED:
    case MUTANT_MARK_IGNORED:
        swarm->async = false;
        swarm->fault_weights[FAULT_FOLDER_OLDER] += 5;
        swarm->fault_weights[FAULT_MACHINE_OLDER] += 5;
        swarm->fault_weights[FAULT_INSTANCE_KILLED] += 5;
        break;
    case MUTANT_PROMISE_UNWRITTEN:
        swarm->async = false;
        swarm->fault_weights[FAULT_CAR_DISK] += 10;
        swarm->fault_weights[FAULT_CAR_CRASH] += 10;
        break;
    case MUTANT_FOREIGN_COUNTS:
        swarm->async = false;
        swarm->fault_weights[FAULT_BY_HAND] += 10;
        swarm->fault_weights[FAULT_INSTANCE_KILLED] += 5;
        break;
    case MUTANT_READ_UNCONFIRMED:
    case MUTANT_READ_BEHIND:
    case MUTANT_ACK_EARLY:
    case MUTANT_DISK_LIES:
        break;
    case MUTANT_STRANGER_HEARD:
        swarm->fault_weights[FAULT_STRANGER] += 5;
        break;
    case MUTANT_NONE:
    case MUTANT_COUNT:
        break;
    }
    no_single_member(swarm);
    if (sim->mutant < MUTANT_READ_UNCONFIRMED) {
        quiet_members(swarm);
    } else {
        swarm->fault_weights[FAULT_MEMBER_CRASH] += 5;
        swarm->fault_weights[FAULT_NODE_CUT] += 5;
    }
    swarm->instances_per_shard = swarm->instances_per_shard < 3 ? 3 : swarm->instances_per_shard;
}
