/* SPDX-License-Identifier: Apache-2.0 */
/* Changes of the configuration: which one is lawful, and the configurations it passes through. A
 * change of the voting sets goes by joint consensus (paper, section 6); one that concerns learners
 * and rules only is a single entry. Pure functions of configurations; reconfigure.h has the when.
 */
#ifndef INDABA_RAFT_JOINT_H
#define INDABA_RAFT_JOINT_H

#include "raft/raft.h"

/* What the leader knows of server i of the configuration in force. */
struct joint_known {
    bool ready[RAFT_SERVERS_MAX]; /* it is caught up */
    bool heard[RAFT_SERVERS_MAX]; /* it answers now, or is the leader itself */
};

/* Whether `target` may follow `now`, which is not joint. A change through which the cluster could
 * not decide anything any more is none: those that are heard must be majorities of the old and of
 * the new voters, and in as many regions as the new rules want. On refusal *refused_out is the
 * server it is about, or none. */
enum raft_change_refusal joint_check(const struct raft_configuration *now,
                                     const struct raft_configuration *target,
                                     const struct joint_known *known,
                                     struct member_id *refused_out);
/* True if `target` is `now`, joint or not, with a lower rule of regions and nothing else changed.
 * Its majorities are those of `now`, so it may follow at any time; it must, for while a rule cannot
 * be met nothing else can be committed either. */
bool joint_is_relief(const struct raft_configuration *now, const struct raft_configuration *target);
/* The configuration to append first: joint if the voting set changes, else `target` itself. */
void joint_begin(const struct raft_configuration *now,
                 const struct raft_configuration *target,
                 struct raft_configuration *first_out);
/* What follows a joint configuration once that is committed. */
void joint_leave(const struct raft_configuration *joint, struct raft_configuration *left_out);

#endif
