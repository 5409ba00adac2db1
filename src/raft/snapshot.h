/* SPDX-License-Identifier: Apache-2.0 */
/* Sending and installing snapshots. For now the log is never cut, so nobody needs one: a request is
 * answered with "nothing taken", and a peer that would need one waits (progress.h, SNAPSHOT). */
#ifndef INDABA_RAFT_SNAPSHOT_H
#define INDABA_RAFT_SNAPSHOT_H

#include "raft/types.h"

struct raft;

void snapshot_on_request(struct raft *raft, const struct raft_message *request);
void snapshot_on_result(struct raft *raft, const struct raft_message *result);

#endif
