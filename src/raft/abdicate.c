/* SPDX-License-Identifier: Apache-2.0 */
/* An entry that is committed but not durable here is durable on a majority without us: that is the
 * whole test. A disk that is merely slower than the others gets there within the time. */
#include "raft/abdicate.h"

#include "base/check.h"
#include "raft/raft_state.h"
#include "raft/timers.h"
#include "raft/trace.h"
#include "raft/transfer.h"

#include <inttypes.h>

void abdicate_tick(struct raft *raft)
{
    CHECK(raft->role == RAFT_LEADER);
    if (raft->behind_index != 0 && raft->durable.index >= raft->behind_index) {
        abdicate_clear(raft);
    }
    if (raft->behind_index == 0 && raft->commit > raft->durable.index) {
        raft->behind_index = raft->commit;
        raft->behind_since_ms = raft->now_ms;
    }
    if (raft->now_ms < abdicate_deadline_ms(raft)) {
        return;
    }
    trace_line(
        raft, "its disk stalls before %" PRIu64 ", which a majority holds", raft->behind_index);
    raft->behind_since_ms = raft->now_ms;
    transfer_start(raft, (struct member_id){0});
    CHECK(raft->behind_index != 0);
}

void abdicate_clear(struct raft *raft)
{
    raft->behind_index = 0;
    raft->behind_since_ms = 0;
}

uint64_t abdicate_deadline_ms(const struct raft *raft)
{
    if (raft->behind_index == 0 || transfer_is_under_way(raft)) {
        return UINT64_MAX;
    }
    return raft->behind_since_ms + timers_election_ms(raft);
}
