/* SPDX-License-Identifier: Apache-2.0 */
/* Loading and saving what rows hold: cluster-wide facts, names, regions, and a shard with all that
 * belongs to it as one view. A command loads, checks, changes and saves; views are whole, so that
 * invariants can be checked on what is about to be stored. */
#ifndef INDABA_STATE_WORLD_H
#define INDABA_STATE_WORLD_H

#include "state/change.h"
#include "state/query.h"

/* Cluster-wide facts, in one row. */
struct world_cluster {
    struct cluster_id cluster; /* none before cluster.init */
    char name[NAME_SIZE];
    uint32_t lease_ms;
    uint32_t regions_count; /* counters: the next id is count + 1 */
    uint32_t shards_count;
    uint32_t instances_count;
    uint64_t failovers_count;
    /* Timers of the consensus core; 0: those of each member's configuration file. */
    uint32_t heartbeat_ms;
    uint32_t election_ms;
    uint32_t commit_regions;       /* an entry commits once durable in so many regions; 0, 1: any */
    char leader_region[NAME_SIZE]; /* leadership is handed there when it can be; "": no wish */
    uint32_t cluster_epoch;        /* grows with each forced recovery; 0 at first */
    /* Since a forced recovery nobody has stated that the members left behind are off. */
    bool unconfirmed;
};

void world_cluster_get(const struct tables *tables, struct world_cluster *cluster_out);
void world_cluster_put(struct change *change, const struct world_cluster *cluster);

enum world_name_kind {
    WORLD_NAME_REGION = 'r',
    WORLD_NAME_SHARD = 's',
    WORLD_NAME_INSTANCE = 'i', /* "shard/instance" */
    WORLD_NAME_ADDRESS = 'a',  /* of an instance's database */
    WORLD_NAME_GONE = 'g',     /* the id of a member that was removed, never to be used again */
};

/* The id behind a name, 0 if there is none. */
uint32_t world_name_get(const struct tables *tables, enum world_name_kind kind, const char *name);
void world_name_put(struct change *change,
                    enum world_name_kind kind,
                    const char *name,
                    uint32_t id);
void world_name_del(struct change *change, enum world_name_kind kind, const char *name);

void world_region_put(struct change *change, const struct region *region);
void world_member_put(struct change *change, const struct member *member);
void world_member_del(struct change *change, struct member_id id);

/* ERR_NOT_FOUND. */
MUST_CHECK enum error
world_shard_get(const struct tables *tables, struct shard_id id, struct shard_view *view_out);
/* Stores shard, instances and failover; stamps changed_index; checks the invariants. */
void world_shard_put(struct change *change, struct shard_view *view);

/* Every rule that one shard's stored state must keep; a CHECK fails otherwise. */
void world_shard_check(const struct shard_view *view);

#endif
