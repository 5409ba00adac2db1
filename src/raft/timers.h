/* SPDX-License-Identifier: Apache-2.0 */
/* The timers in force: those of the configuration if it names any, else this member's own. */
#ifndef INDABA_RAFT_TIMERS_H
#define INDABA_RAFT_TIMERS_H

#include <stdint.h>

struct raft;

uint32_t timers_heartbeat_ms(const struct raft *raft);
uint32_t timers_election_ms(const struct raft *raft);

#endif
