/* SPDX-License-Identifier: Apache-2.0 */
/* The leader leads through a change of the configuration: appends its first entry when asked, the
 * leaving one by itself once a joint configuration is committed (also one that it found in its
 * log), makes voters of learners that are to be promoted when they have caught up, and steps aside
 * when it is no voter any more. */
#ifndef INDABA_RAFT_RECONFIGURE_H
#define INDABA_RAFT_RECONFIGURE_H

#include "raft/types.h"

struct raft;

/* Asked for; the result is in raft->propose_error, propose_first_index and change_refusal. */
void reconfigure_on_change(struct raft *raft, const struct raft_configuration *target);
/* The next step of a change, if it is due. Leader only; may end its office. */
void reconfigure_tick(struct raft *raft);
/* Makes raft->peers those of the configuration in force. */
void reconfigure_peers(struct raft *raft);

#endif
