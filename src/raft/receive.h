/* SPDX-License-Identifier: Apache-2.0 */
/* The rules of terms that every message passes before its own file handles it (section 5.1):
 * a newer term is adopted, save for a vote request while a living leader is heard; a sender with an
 * older term is always answered, so that it cannot stay behind for ever. */
#ifndef INDABA_RAFT_RECEIVE_H
#define INDABA_RAFT_RECEIVE_H

#include "raft/types.h"

struct raft;

void receive_message(struct raft *raft, const struct raft_message *message);

#endif
