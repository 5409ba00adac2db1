/* SPDX-License-Identifier: Apache-2.0 */
/* Terms first, then one switch. */
#include "raft/receive.h"

#include "base/check.h"
#include "base/log.h"
#include "raft/append.h"
#include "raft/become.h"
#include "raft/election.h"
#include "raft/evidence.h"
#include "raft/heartbeat.h"
#include "raft/raft_state.h"
#include "raft/replicate.h"
#include "raft/snapshot_receive.h"
#include "raft/snapshot_send.h"
#include "raft/trace.h"
#include "raft/transfer.h"

#include <inttypes.h>

static void answer_stale(struct raft *raft, const struct raft_message *message);
static void dispatch(struct raft *raft, const struct raft_message *message);

void receive_message(struct raft *raft, const struct raft_message *message)
{
    if (!member_id_equal(message->to, raft->options.self) || member_id_is_none(message->from) ||
        member_id_equal(message->from, raft->options.self)) {
        MARK("raft.message_for_another");
        trace_line(raft, "drops a message that is not for it");
        return;
    }
    if (message->term > RAFT_TERM_MAX) {
        MARK("raft.term_impossible");
        trace_line(raft, "drops a message of an impossible term");
        return;
    }
    evidence_on_message(raft, message);
    if (message->term < raft->term) {
        answer_stale(raft, message);
        return;
    }
    if (message->term > raft->term) {
        if (message->type == RAFT_REQUEST_VOTE && election_is_sticky(raft, message)) {
            election_refuse(raft, message);
            return;
        }
        become_follower(raft, message->term);
    }
    CHECK(message->term == raft->term);
    dispatch(raft, message);
}

static void answer_stale(struct raft *raft, const struct raft_message *message)
{
    CHECK(message->term < raft->term);
    switch (message->type) {
    case RAFT_REQUEST_VOTE:
        election_refuse(raft, message);
        break;
    case RAFT_APPEND:
    case RAFT_HEARTBEAT:
        append_refuse_stale(raft, message);
        break;
    case RAFT_INSTALL_SNAPSHOT:
        snapshot_receive_refuse_stale(raft, message);
        break;
    case RAFT_REQUEST_VOTE_RESULT:
    case RAFT_APPEND_RESULT:
    case RAFT_HEARTBEAT_RESULT:
    case RAFT_INSTALL_SNAPSHOT_RESULT:
    case RAFT_TIMEOUT_NOW:
        /* Answers to what an earlier office asked, or an order of one. */
        break;
    }
}

static void dispatch(struct raft *raft, const struct raft_message *message)
{
    CHECK(message->term == raft->term);
    switch (message->type) {
    case RAFT_REQUEST_VOTE:
        election_on_request(raft, message);
        break;
    case RAFT_REQUEST_VOTE_RESULT:
        election_on_result(raft, message);
        break;
    case RAFT_APPEND:
        append_on_request(raft, message);
        break;
    case RAFT_APPEND_RESULT:
        replicate_on_result(raft, message);
        break;
    case RAFT_HEARTBEAT:
        append_on_heartbeat(raft, message);
        break;
    case RAFT_HEARTBEAT_RESULT:
        heartbeat_on_result(raft, message);
        break;
    case RAFT_INSTALL_SNAPSHOT:
        snapshot_receive_on_request(raft, message);
        break;
    case RAFT_INSTALL_SNAPSHOT_RESULT:
        snapshot_send_on_result(raft, message);
        break;
    case RAFT_TIMEOUT_NOW:
        transfer_on_timeout_now(raft, message);
        break;
    }
}
