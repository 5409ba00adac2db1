/* SPDX-License-Identifier: Apache-2.0 */
/* A leader whose disk has stalled hands over, but only while a majority of the others is ahead of
 * it: if every disk stalls, a new leader would be no better. Without this a leader with a hung disk
 * would beat for ever and answer nobody. */
#ifndef INDABA_RAFT_ABDICATE_H
#define INDABA_RAFT_ABDICATE_H

#include <stdint.h>

struct raft;

/* Watches the disk; hands over when it has been behind for an election timeout, again and again
 * while that lasts. */
void abdicate_tick(struct raft *raft);
void abdicate_clear(struct raft *raft);
/* UINT64_MAX if the disk keeps up. */
uint64_t abdicate_deadline_ms(const struct raft *raft);

#endif
