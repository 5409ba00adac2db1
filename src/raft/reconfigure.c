/* SPDX-License-Identifier: Apache-2.0 */
/* Only one change at a time, and only behind a committed entry of the own term: two leaders that
 * change from different bases could else commit with majorities that do not meet. A relief, which
 * lowers the rule of regions and changes nothing else, is exempt from both: its voting sets are
 * those of the configuration that it follows, so whatever majorities meet without it meet with it,
 * and it must not wait for a commit that the rule prevents. A server that leaves is still spoken to
 * for a while, so that it learns that it has left. */
#include "raft/reconfigure.h"

#include "base/check.h"
#include "base/log.h"
#include "raft/become.h"
#include "raft/joint.h"
#include "raft/membership.h"
#include "raft/proof.h"
#include "raft/raft_state.h"
#include "raft/read_index.h"
#include "raft/replicate.h"
#include "raft/timers.h"
#include "raft/trace.h"
#include "raft/transfer.h"

#include <inttypes.h>

enum {
    FAREWELL_TIMEOUTS = 2, /* election timeouts for which a server that left is spoken to */
};

static enum raft_change_refusal may_change(const struct raft *raft, bool relief);
static enum error error_of(enum raft_change_refusal refusal);
static struct joint_known known_of(const struct raft *raft);
static void promote(struct raft *raft);
static void note_promoted(struct raft *raft, const struct raft_configuration *first);
static void append(struct raft *raft, const struct raft_configuration *configuration);
static void step_aside(struct raft *raft);
static void drop_departed(struct raft *raft, bool all);
static void add_peer(struct raft *raft, struct member_id id);

void reconfigure_on_change(struct raft *raft, const struct raft_configuration *target)
{
    const struct raft_configuration *now = log_view_configuration(&raft->log);
    bool relief = joint_is_relief(now, target);
    enum raft_change_refusal refusal = may_change(raft, relief);
    if (refusal == RAFT_CHANGE_OK && !relief) {
        const struct joint_known known = known_of(raft);
        refusal = joint_check(now, target, &known, &raft->change_refused);
    }
    struct raft_configuration first = *target;
    if (refusal == RAFT_CHANGE_OK && !relief) {
        joint_begin(now, target, &first);
        refusal = proof_check(raft, &first, &raft->change_refused);
    }
    raft->change_refusal = refusal;
    raft->propose_error = error_of(refusal);
    if (refusal == RAFT_CHANGE_PROVING) {
        return;
    }
    if (refusal != RAFT_CHANGE_OK) {
        MARK("raft.change_refused");
        trace_line(raft, "refuses a change: %s", raft_change_refusal_text(refusal));
        return;
    }
    append(raft, &first);
    raft->propose_first_index = log_view_configuration_index(&raft->log);
}

void reconfigure_tick(struct raft *raft)
{
    CHECK(raft->role == RAFT_LEADER);
    drop_departed(raft, false);
    const struct raft_configuration *now = log_view_configuration(&raft->log);
    if (raft->commit < raft->term_start_index ||
        raft->commit < log_view_configuration_index(&raft->log) || transfer_is_under_way(raft)) {
        return;
    }
    if (membership_is_joint(now)) {
        struct raft_configuration left;
        joint_leave(now, &left);
        MARK("raft.joint_left");
        trace_line(raft, "leaves the joint configuration");
        append(raft, &left);
    } else if (!membership_is_voter(now, raft->options.self)) {
        step_aside(raft);
    } else {
        promote(raft);
    }
}

void reconfigure_peers(struct raft *raft)
{
    CHECK(raft->role == RAFT_LEADER);
    const struct raft_configuration *configuration = log_view_configuration(&raft->log);
    for (uint32_t i = 0; i < raft->peers_count; i++) {
        struct progress *peer = &raft->peers[i];
        if (membership_find(configuration, peer->id) != NULL) {
            peer->departs_ms = 0;
        } else if (peer->departs_ms == 0) {
            peer->departs_ms =
                raft->now_ms + (uint64_t)timers_election_ms(raft) * FAREWELL_TIMEOUTS;
        }
    }
    for (uint32_t i = 0; i < configuration->count; i++) {
        struct member_id id = configuration->servers[i].id;
        if (!member_id_equal(id, raft->options.self) && replicate_peer(raft, id) == NULL) {
            add_peer(raft, id);
        }
    }
}

static enum raft_change_refusal may_change(const struct raft *raft, bool relief)
{
    if (raft->role != RAFT_LEADER) {
        return RAFT_CHANGE_NOT_LEADER;
    }
    if (transfer_is_under_way(raft)) {
        return RAFT_CHANGE_HANDING_OVER;
    }
    if (relief) {
        return RAFT_CHANGE_OK;
    }
    if (raft->commit < raft->term_start_index) {
        return RAFT_CHANGE_TOO_EARLY;
    }
    if (raft->commit < log_view_configuration_index(&raft->log) ||
        membership_is_joint(log_view_configuration(&raft->log))) {
        return RAFT_CHANGE_UNDER_WAY;
    }
    return RAFT_CHANGE_OK;
}

static enum error error_of(enum raft_change_refusal refusal)
{
    switch (refusal) {
    case RAFT_CHANGE_OK:
        return ERR_OK;
    case RAFT_CHANGE_NOT_LEADER:
        return ERR_NOT_LEADER;
    case RAFT_CHANGE_HANDING_OVER:
    case RAFT_CHANGE_TOO_EARLY:
    case RAFT_CHANGE_UNDER_WAY:
    case RAFT_CHANGE_NOT_CAUGHT_UP:
    case RAFT_CHANGE_UNHEARD:
    case RAFT_CHANGE_PROVING:
    case RAFT_CHANGE_UNPROVEN:
        return ERR_UNAVAILABLE;
    case RAFT_CHANGE_TOO_MANY:
        return ERR_LIMIT;
    case RAFT_CHANGE_NOTHING:
        return ERR_EXISTS;
    case RAFT_CHANGE_INVALID:
    case RAFT_CHANGE_NO_VOTER:
    case RAFT_CHANGE_REGION_MOVED:
    case RAFT_CHANGE_REGION_UNKNOWN:
    case RAFT_CHANGE_TOO_FEW_REGIONS:
    case RAFT_CHANGE_BAD_TIMERS:
        return ERR_INVALID;
    }
    UNREACHABLE("a refusal that is not in its enum");
}

static struct joint_known known_of(const struct raft *raft)
{
    struct joint_known known = {0};
    const struct raft_configuration *now = log_view_configuration(&raft->log);
    for (uint32_t i = 0; i < raft->peers_count; i++) {
        const struct raft_server *server = membership_find(now, raft->peers[i].id);
        if (server != NULL) {
            known.ready[server - now->servers] = replicate_is_caught_up(raft, &raft->peers[i]);
            known.heard[server - now->servers] = replicate_is_heard(raft, &raft->peers[i]);
        }
    }
    const struct raft_server *self = membership_find(now, raft->options.self);
    if (self != NULL) {
        known.heard[self - now->servers] = true;
    }
    return known;
}

static void promote(struct raft *raft)
{
    const struct raft_configuration *now = log_view_configuration(&raft->log);
    const struct joint_known known = known_of(raft);
    struct raft_configuration target = *now;
    bool any = false;
    for (uint32_t i = 0; i < target.count; i++) {
        struct raft_server *server = &target.servers[i];
        if (server->promote && known.ready[i] && known.heard[i]) {
            server->promote = false;
            server->voter = true;
            any = true;
        }
    }
    struct member_id refused;
    struct raft_configuration first;
    if (!any || joint_check(now, &target, &known, &refused) != RAFT_CHANGE_OK) {
        return;
    }
    joint_begin(now, &target, &first);
    if (proof_check(raft, &first, &refused) == RAFT_CHANGE_OK) {
        note_promoted(raft, &first);
        append(raft, &first);
    }
}

static void note_promoted(struct raft *raft, const struct raft_configuration *first)
{
    for (uint32_t i = 0; i < first->count; i++) {
        if (first->servers[i].voter && !first->servers[i].voter_old) {
            MARK("raft.learner_promoted");
            trace_line(
                raft, "%s has caught up and is promoted", trace_id(first->servers[i].id).text);
        }
    }
}

static void append(struct raft *raft, const struct raft_configuration *configuration)
{
    struct buf bytes = {0};
    raft_configuration_encode(configuration, &bytes);
    struct blob *payload = blob_new(buf_view(&bytes));
    replicate_append(raft, RAFT_ENTRY_CONFIGURATION, payload);
    proof_forget(raft);
    blob_unref(payload);
    buf_deinit(&bytes);
    trace_line(raft,
               "%s configuration at %" PRIu64,
               membership_is_joint(configuration) ? "joint" : "new",
               log_view_configuration_index(&raft->log));
    reconfigure_peers(raft);
    replicate_send_to_all(raft);
    /* Fewer may be asked now than were when the round began. */
    read_index_confirm(raft);
}

/* Its own removal is committed: another leads on, by hand-over if one can be told. */
static void step_aside(struct raft *raft)
{
    if (!raft->stepping_aside) {
        raft->stepping_aside = true;
        MARK("raft.leader_removed_steps_aside");
        trace_line(raft, "is no voter any more, steps aside");
        transfer_start(raft, (struct member_id){0});
    }
    if (!transfer_is_under_way(raft)) {
        become_follower(raft, raft->term);
    }
}

static void drop_departed(struct raft *raft, bool all)
{
    uint32_t kept = 0;
    for (uint32_t i = 0; i < raft->peers_count; i++) {
        struct progress *peer = &raft->peers[i];
        bool departs = peer->departs_ms != 0;
        if (departs &&
            (all || raft->now_ms >= peer->departs_ms || peer->state == PROGRESS_SNAPSHOT)) {
            progress_deinit(peer);
            continue;
        }
        raft->peers[kept] = *peer;
        kept++;
    }
    raft->peers_count = kept;
}

static void add_peer(struct raft *raft, struct member_id id)
{
    if (raft->peers_count == RAFT_SERVERS_MAX) {
        drop_departed(raft, true);
    }
    CHECK(raft->peers_count < RAFT_SERVERS_MAX);
    struct progress *peer = &raft->peers[raft->peers_count];
    progress_init(
        peer, id, log_view_last_index(&raft->log) + 1, raft->options.inflight_messages_max);
    peer->heard_ms = raft->now_ms;
    raft->peers_count++;
}
