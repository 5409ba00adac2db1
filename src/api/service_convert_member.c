/* SPDX-License-Identifier: Apache-2.0 */
/* A member as the public API shows it: its record beside what the consensus core of the answering
 * member knows of it. */
#include "api/service_convert.h"

#include "base/check.h"
#include "base/clock.h"

static void
put_own(struct service_call *call, const struct raft_status *status, Indaba__V1__MemberStatus *to);
static void put_leader(struct service_call *call,
                       const struct raft_status *status,
                       Indaba__V1__MemberStatus *to);
static void put_peer(const struct raft_peer_status *peer, Indaba__V1__MemberStatus *to);
static const struct raft_server *server_of(const struct raft_configuration *configuration,
                                           struct member_id id);
static const char *note_of(const struct node *node,
                           const struct member *member,
                           const Indaba__V1__MemberStatus *status);

void convert_member_status(struct service_call *call,
                           const struct raft_status *status,
                           const struct member *member,
                           Indaba__V1__MemberStatus *to)
{
    indaba__v1__member_status__init(to);
    to->member = convert_member(call, member);
    to->leader = member_id_equal(status->leader, member->id);
    to->core = wire_string(convert_core_standing(&status->configuration, member->id));
    to->judged = status->role == RAFT_LEADER;
    if (member_id_equal(member->id, front_config(call->front)->member)) {
        put_own(call, status, to);
    } else if (to->leader) {
        put_leader(call, status, to);
    }
    for (uint32_t i = 0; i < status->peers_count; i++) {
        if (member_id_equal(status->peers[i].id, member->id)) {
            put_peer(&status->peers[i], to);
        }
    }
    to->rtt_us = peers_rtt_us(node_peers(call->node), member->id);
    if (status->role == RAFT_LEADER) {
        to->note = wire_string(note_of(call->node, member, to));
    }
}

const char *convert_core_standing(const struct raft_configuration *configuration,
                                  struct member_id id)
{
    const struct raft_server *server = server_of(configuration, id);
    if (server == NULL) {
        return "";
    }
    if (!server->voter) {
        return server->voter_old ? "leaving" : "learner";
    }
    return convert_is_joint(configuration) && !server->voter_old ? "entering" : "voter";
}

bool convert_is_joint(const struct raft_configuration *configuration)
{
    for (uint32_t i = 0; i < configuration->count; i++) {
        if (configuration->servers[i].voter_old) {
            return true;
        }
    }
    return false;
}

static void
put_own(struct service_call *call, const struct raft_status *status, Indaba__V1__MemberStatus *to)
{
    struct node_view view;
    node_view(call->node, &view);
    to->judged = true;
    to->reachable = true;
    to->match_index = status->durable_index;
    to->applied_index = view.applied;
    to->state_hash = view.state_hash;
    to->caught_up = status->role == RAFT_LEADER;
}

/* A follower hears its leader, and nobody else. */
static void put_leader(struct service_call *call,
                       const struct raft_status *status,
                       Indaba__V1__MemberStatus *to)
{
    struct node_view view;
    node_view(call->node, &view);
    to->judged = true;
    to->heard_ms_ago = view.leader_heard_age_ms;
    to->reachable = view.leader_heard_age_ms < status->election_ms;
}

static void put_peer(const struct raft_peer_status *peer, Indaba__V1__MemberStatus *to)
{
    uint64_t now_ms = clock_monotonic_ms();
    to->reachable = peer->active;
    to->match_index = peer->match_index;
    to->applied_index = peer->applied_index;
    to->state_hash = peer->state_hash;
    to->caught_up = peer->caught_up;
    to->regressed = peer->regressed;
    to->stalled = peer->stalled;
    to->heard_ms_ago = now_ms > peer->heard_ms ? now_ms - peer->heard_ms : 0;
    if (peer->state == RAFT_PEER_SNAPSHOT) {
        to->snapshot_index = peer->snapshot_index;
        to->snapshot_bytes = peer->snapshot_size;
        to->snapshot_acked = peer->snapshot_acked;
    }
}

static const struct raft_server *server_of(const struct raft_configuration *configuration,
                                           struct member_id id)
{
    CHECK(configuration->count <= RAFT_SERVERS_MAX);
    for (uint32_t i = 0; i < configuration->count; i++) {
        if (member_id_equal(configuration->servers[i].id, id)) {
            return &configuration->servers[i];
        }
    }
    return NULL;
}

/* A leader's judgement. */
static const char *note_of(const struct node *node,
                           const struct member *member,
                           const Indaba__V1__MemberStatus *status)
{
    const char *held = node_members_held(node);
    if (status->regressed) {
        return "has lost entries that it had acknowledged (a wiped or restored disk): remove it, "
               "and add the machine again under a new id with an empty folder";
    }
    if (node_contradicts(node, member->id)) {
        return "holds another state than the leader: it ends, and makes its state anew when it is "
               "started again; if it stays like this, add a new member in its place and remove it";
    }
    if (member->standing == MEMBER_LEAVING) {
        return held[0] != '\0' ? held : "is being removed";
    }
    if (!status->reachable) {
        return status->match_index == 0 ? "never answered: is it started, with --join?"
                                        : "does not answer";
    }
    if (status->snapshot_index != 0) {
        return "is being sent a snapshot";
    }
    if (status->stalled) {
        return "answers, and makes nothing durable: does its disk hang?";
    }
    if (member->standing == MEMBER_VOTER && status->core[0] != 'v') {
        return status->caught_up ? "becomes a voter next" : "becomes a voter once it has caught up";
    }
    if (member->standing == MEMBER_LEARNER && status->core[0] != 'l') {
        return held[0] != '\0' ? held : "becomes a learner next";
    }
    return "";
}
