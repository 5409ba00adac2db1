/* SPDX-License-Identifier: Apache-2.0 */
/* What the coordinators want one instance to be. Derived, purely, from the shard's replicated view,
 * so every member derives the same. Ordered by (epoch, index): a sidecar persists the pair before
 * it acts and refuses anything lower (safety.md 2). */
#ifndef INDABA_MODEL_GOAL_H
#define INDABA_MODEL_GOAL_H

#include "model/records.h"

struct goal {
    struct shard_id shard;
    struct instance_id instance;
    struct epoch epoch; /* PRIMARY: the deciding epoch; else the shard's highest */
    uint64_t index;     /* shard.changed_index */
    enum goal_role role;
    enum shard_mode mode;

    /* STANDBY: whom to follow. CUT: from whom. FENCED: none. */
    struct instance_id upstream;
    char upstream_address[ADDRESS_SIZE];
    bool in_record;   /* this data folder is named in the sync record: it must not be wiped */
    struct fork fork; /* STANDBY: the timeline to follow; timeline 0 before the first promotion */
    /* All of the shard's history, oldest first, `fork` the last: an instance that slept through
     * some of it finds where its own timeline was left. */
    struct fork history[SHARD_FORKS_MAX];
    uint32_t history_count;
    uint64_t system_identifier; /* 0: not known yet */
    bool drain; /* FENCED: stop in order, so that the standbys get everything; bounded by the lease
                 */
    struct marks marks; /* not derived: what the leader has heard */

    /* PRIMARY */
    bool bootstrap;    /* initdb is allowed: the shard has never had data */
    bool may_promote;  /* decided and not yet reported promoted */
    uint32_t timeline; /* reserved; what promotion must yield */
    struct position floor;
    struct sync_pair sync; /* the newest pair; required 0 in async mode */
    uint64_t sync_version;
    /* Physical slots to keep: the other instances of the shard. Address too, for hba rules. */
    struct sync_member siblings[SHARD_INSTANCES_MAX];
    uint32_t siblings_count;
};

/* The goal of `instance` in this view. `instance` must be of the view. */
void goal_derive(const struct shard_view *view, struct instance_id instance, struct goal *goal_out);

/* Order of goals: negative if `a` is older. */
int goal_compare(const struct goal *a, const struct goal *b);

#endif
