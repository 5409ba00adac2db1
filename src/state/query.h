/* SPDX-License-Identifier: Apache-2.0 */
/* Reading the replicated state. Runs where the tables may be read: inside the open transaction of
 * the apply thread, or on a read-only view of a stopped member's folder. Copies out. */
#ifndef INDABA_STATE_QUERY_H
#define INDABA_STATE_QUERY_H

#include "base/hash.h"
#include "state/command.h"
#include "state/tables.h"

struct cluster_info {
    struct cluster_id cluster; /* none before cluster.init */
    char name[NAME_SIZE];
    uint32_t lease_ms;
    uint32_t shards_count;
    uint64_t failovers_count;
    uint32_t heartbeat_ms; /* of the consensus core; 0: as in each member's configuration */
    uint32_t election_ms;
    uint32_t commit_regions;       /* an entry commits once durable in so many; 0, 1: any */
    char leader_region[NAME_SIZE]; /* "": no wish */
    uint32_t cluster_epoch;        /* forced recoveries so far */
    bool unconfirmed;              /* the members left behind may still run */
};

void query_cluster(const struct tables *tables, struct cluster_info *info_out);
/* Fill at most `max` and return how many there are. */
uint32_t query_regions(const struct tables *tables, struct region *regions_out, uint32_t max);
uint32_t query_members(const struct tables *tables, struct member *members_out, uint32_t max);
/* Whether the id was of a member that was removed: it is never used again. */
bool query_member_is_gone(const struct tables *tables, struct member_id id);
MUST_CHECK enum error
query_shard(const struct tables *tables, struct shard_id id, struct shard_view *view_out);
MUST_CHECK enum error
query_shard_by_name(const struct tables *tables, const char *name, struct shard_view *view_out);
MUST_CHECK enum error
query_failover(const struct tables *tables, uint64_t id, struct failover *failover_out);

/* The ledger. Leaves are in the order of the log; entries of the key-value store share some. */
struct ledger_head {
    uint64_t size;
    uint64_t index;     /* the last of the log that a leaf covers; the rest is in an open run */
    struct sha256 root; /* of RFC 6962's tree over the leaves; SHA-256("") when empty */
};

struct ledger_leaf {
    uint64_t number; /* from 0 */
    uint64_t index;  /* of a digest leaf: of its last entry */
    uint64_t term;
    uint8_t raft_kind;
    uint64_t wall_ms;
    char kind[32]; /* "failover.begin", "noop", … */
    char actor[ACTOR_SIZE];
    enum error result;
    char message[TEXT_SIZE]; /* of the result */
    struct slice payload;    /* borrowed from `bytes` */
    struct slice bytes;      /* the exact leaf; borrowed from the tables */
};

void query_ledger_head(const struct tables *tables, struct ledger_head *head_out);
MUST_CHECK enum error
query_ledger_leaf(const struct tables *tables, uint64_t number, struct ledger_leaf *leaf_out);
/* The root when the tree had `size` leaves. ERR_NOT_FOUND above the head. */
MUST_CHECK enum error
query_ledger_root_at(const struct tables *tables, uint64_t size, struct sha256 *root_out);

#endif
