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

/* True if those with `yes[i]` are a majority of each voting set. */
bool quorum_has(const struct raft_configuration *configuration, const bool *yes);

#endif
