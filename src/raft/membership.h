/* SPDX-License-Identifier: Apache-2.0 */
/* What a configuration says about a server, and which configurations are well formed. Joint
 * consensus (paper, section 6): while a change is under way a server may be in the new set, in the
 * old one, or in both. Encoding: raft.h. */
#ifndef INDABA_RAFT_MEMBERSHIP_H
#define INDABA_RAFT_MEMBERSHIP_H

#include "raft/raft.h"

/* NULL if `id` is not in the configuration. */
const struct raft_server *membership_find(const struct raft_configuration *configuration,
                                          struct member_id id);
/* True if `id` votes in the new or in the old set. */
bool membership_is_voter(const struct raft_configuration *configuration, struct member_id id);
/* True while a change is under way: both majorities are needed. */
bool membership_is_joint(const struct raft_configuration *configuration);
/* ERR_INVALID unless ids ascend, none is "none", there is a voter, flags and timers make sense,
 * and the count is in bounds. */
MUST_CHECK enum error membership_validate(const struct raft_configuration *configuration);
/* True if both timers are unset, or an election timeout holds several heartbeats. */
bool membership_timers_are_valid(const struct raft_rules *rules);

#endif
