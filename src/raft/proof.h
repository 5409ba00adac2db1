/* SPDX-License-Identifier: Apache-2.0 */
/* Whether disks follow. Who is heard need not make anything durable: a member whose disk hangs
 * answers heartbeats as ever. Before the voters change the leader appends an empty entry, after it
 * was asked, and waits until majorities of the old and of the new set have it durably. */
#ifndef INDABA_RAFT_PROOF_H
#define INDABA_RAFT_PROOF_H

#include "raft/types.h"

struct raft;

/* To be asked again and again until it is RAFT_CHANGE_OK; leader only. `first` is what would be
 * appended next. PROVING: the entry is on its way; UNPROVEN: for longer than two election timeouts,
 * and *refused_out is one that does not have it. What took so long, or was not used for so long, is
 * asked anew: who had it first may hang by now. Then it may take twice as long as it just did, up
 * to twenty election timeouts. */
enum raft_change_refusal proof_check(struct raft *raft,
                                     const struct raft_configuration *first,
                                     struct member_id *refused_out);
/* What was proven has been used, or this is a new office. */
void proof_forget(struct raft *raft);

#endif
