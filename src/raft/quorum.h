/* SPDX-License-Identifier: Apache-2.0 */
/* Majorities, and both majorities while a change is under way (joint consensus, section 6). Every
 * question of the core that needs a quorum comes here: votes, commit, confirmed reads, and whether
 * a leader still has its voters. Learners count for nothing. */
#ifndef INDABA_RAFT_QUORUM_H
#define INDABA_RAFT_QUORUM_H

#include "raft/types.h"

/* `values[i]` belongs to configuration->servers[i]. The largest value v such that a majority of
 * each voting set has a value of at least v. */
uint64_t quorum_value(const struct raft_configuration *configuration, const uint64_t *values);

/* The same, and besides that voters of the new set in rules.commit_regions_min regions: how far
 * entries may be committed. Servers of unknown region count for no region. */
uint64_t quorum_commit(const struct raft_configuration *configuration, const uint64_t *values);

/* In how many known regions the voters of the new set are. */
uint32_t quorum_regions(const struct raft_configuration *configuration);

/* True if those with `yes[i]` are a majority of each voting set. Never with no voter at all: that
 * is what a member knows that joins. */
bool quorum_has(const struct raft_configuration *configuration, const bool *yes);

#endif
