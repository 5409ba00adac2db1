/* SPDX-License-Identifier: Apache-2.0 */
/* What a batch of committed entries does to the tables, and a copy of what came of it for whoever
 * decides and answers. Pure: the apply thread calls it (applier.c), and the simulator. */
#ifndef INDABA_NODE_APPLIER_BATCH_H
#define INDABA_NODE_APPLIER_BATCH_H

#include "raft/types.h"
#include "state/apply.h"
#include "state/kv.h"
#include "state/query.h"

enum {
    APPLIER_BATCH_MAX = 256 /* entries in one batch */
};

struct applier_result {
    uint64_t index;
    uint64_t term;
    uint64_t state_hash; /* after it */
    enum command_kind kind;
    struct command_result result;
    struct slice replies; /* COMMAND_KV: of its operations (state/kv_reply.h) */
};

/* The cluster's own record of itself. */
struct applier_topology {
    struct cluster_info cluster;
    struct region regions[REGIONS_MAX];
    uint32_t regions_count;
    struct member members[MEMBERS_MAX];
    uint32_t members_count;
};

/* Reads it; on the apply thread. */
void applier_topology(const struct tables *tables, struct applier_topology *topology_out);

/* What one batch of entries came to. Everything in it is valid during the callback. */
struct applier_batch {
    struct applier_result *results;
    uint32_t results_count;
    struct shard_view *views; /* of shards that changed, as of the end of the batch */
    uint32_t views_count;
    bool topology_changed;            /* a command about cluster, regions or members was applied */
    struct applier_topology topology; /* then: as of the end of the batch */
    struct apply_position position;   /* after the batch */
    struct kv_position kv;            /* likewise: what changed can be watched (kv_events) */
    bool kv_sweep_pending;            /* likewise */
    struct buf replies;               /* all of them; results borrow from it */
    uint64_t store_used_bytes;
    uint64_t store_map_bytes;
};

/* How a batch is applied. */
struct applier_pass {
    const struct tables *tables;
    /* After each entry: whoever holds the tables may make them durable. */
    void (*after_entry)(void *ctx, const struct applier_result *result);
    /* An entry is of a version that this program does not know; must end the process, or this. */
    void (*on_too_new)(void *ctx, const char *why);
    void *ctx;
};

/* Applies them in order, at most APPLIER_BATCH_MAX. Returns how many it were: of the rest the
 * replies had no room beside. Free the batch with applier_batch_free. */
uint32_t applier_batch_run(const struct applier_pass *pass,
                           const struct raft_entry *entries,
                           uint32_t count,
                           struct applier_batch **batch_out);
void applier_batch_free(struct applier_batch *batch);

/* A query sees the tables; what is to be done with what it saw comes on the loop. */
typedef void (*applier_query_fn)(const struct tables *tables, void *ctx);
typedef void (*applier_done_fn)(void *ctx);

#endif
