/* SPDX-License-Identifier: Apache-2.0 */
/* Looked up at each use, so that an appended configuration, and one that is cut again, needs nobody
 * to be told. */
#include "raft/timers.h"

#include "raft/raft_state.h"

uint32_t timers_heartbeat_ms(const struct raft *raft)
{
    uint32_t ruled = log_view_configuration(&raft->log)->rules.heartbeat_ms;
    return ruled != 0 ? ruled : raft->options.heartbeat_ms;
}

uint32_t timers_election_ms(const struct raft *raft)
{
    uint32_t ruled = log_view_configuration(&raft->log)->rules.election_ms;
    return ruled != 0 ? ruled : raft->options.election_ms;
}
