/* SPDX-License-Identifier: Apache-2.0 */
/* Compares the members' states by their rolling hashes. */
#include "node/divergence.h"

#include "base/check.h"

#include <string.h>

static uint64_t agreed_index(const struct divergence *divergence,
                             const struct raft_configuration *configuration,
                             struct member_id self);
static struct divergence_peer *peer_of(struct divergence *divergence, struct member_id id);
static const struct divergence_peer *find(const struct divergence *divergence, struct member_id id);

void divergence_note(struct divergence *divergence, uint64_t index, uint64_t hash)
{
    CHECK(index > 0);
    divergence->at[index % DIVERGENCE_KEPT].index = index;
    divergence->at[index % DIVERGENCE_KEPT].hash = hash;
}

void divergence_reset(struct divergence *divergence)
{
    memset(divergence, 0, sizeof(*divergence));
}

void divergence_leave(struct divergence *divergence)
{
    divergence->peers_count = 0;
    divergence->disputed = false;
}

bool divergence_look(struct divergence *divergence, const struct raft_peer_status *peer)
{
    struct divergence_peer *known = peer_of(divergence, peer->id);
    enum divergence_verdict verdict =
        divergence_compare(divergence, peer->applied_index, peer->state_hash);
    if (known == NULL) {
        return false;
    }
    known->voter = peer->voter;
    known->reported_index = peer->applied_index;
    if (verdict == DIVERGENCE_UNKNOWN) {
        return false;
    }
    bool found = verdict == DIVERGENCE_DIFFERS && known->verdict != DIVERGENCE_DIFFERS;
    known->verdict = verdict;
    if (verdict == DIVERGENCE_AGREES || found) {
        known->differs_index = found ? peer->applied_index : 0;
    }
    known->agreed_index = verdict == DIVERGENCE_AGREES ? peer->applied_index : 0;
    return found;
}

void divergence_keep(struct divergence *divergence,
                     const struct raft_peer_status *peers,
                     uint32_t count)
{
    for (uint32_t at = divergence->peers_count; at > 0; at--) {
        bool stays = false;
        for (uint32_t i = 0; i < count; i++) {
            stays = stays || member_id_equal(peers[i].id, divergence->peers[at - 1].id);
        }
        if (!stays) {
            divergence->peers_count--;
            divergence->peers[at - 1] = divergence->peers[divergence->peers_count];
        }
    }
}

void divergence_settle(struct divergence *divergence,
                       const struct raft_configuration *configuration,
                       struct member_id self)
{
    uint64_t agreed = agreed_index(divergence, configuration, self);
    divergence->disputed = false;
    for (uint32_t i = 0; i < divergence->peers_count; i++) {
        struct divergence_peer *peer = &divergence->peers[i];
        /* At its own index, so that it remembers what its state was there. */
        uint64_t index = peer->reported_index < agreed ? peer->reported_index : agreed;
        bool known = index > 0 && divergence->at[index % DIVERGENCE_KEPT].index == index;
        peer->told_index = known ? index : 0;
        peer->told_hash = known ? divergence->at[index % DIVERGENCE_KEPT].hash : 0;
        divergence->disputed =
            divergence->disputed || (peer->voter && agreed < peer->differs_index);
    }
}

bool divergence_is_disputed(const struct divergence *divergence)
{
    return divergence->disputed;
}

void divergence_tell(const struct divergence *divergence,
                     struct member_id peer,
                     struct raft_heartbeat *heartbeat)
{
    const struct divergence_peer *known = find(divergence, peer);
    heartbeat->agreed_index = known == NULL ? 0 : known->told_index;
    heartbeat->agreed_hash = known == NULL ? 0 : known->told_hash;
}

bool divergence_is_against(const struct divergence *divergence, struct member_id peer)
{
    const struct divergence_peer *known = find(divergence, peer);
    return known != NULL && known->verdict == DIVERGENCE_DIFFERS;
}

bool divergence_may_lead(const struct divergence *divergence, struct member_id peer)
{
    return divergence_is_against(divergence, peer) == divergence_is_ours(divergence);
}

uint32_t divergence_count(const struct divergence *divergence)
{
    uint32_t count = 0;
    for (uint32_t i = 0; i < divergence->peers_count; i++) {
        count += divergence->peers[i].verdict == DIVERGENCE_DIFFERS;
    }
    return count;
}

bool divergence_is_ours(const struct divergence *divergence)
{
    uint32_t agree = 1; /* ourselves */
    uint32_t differ = 0;
    for (uint32_t i = 0; i < divergence->peers_count; i++) {
        const struct divergence_peer *peer = &divergence->peers[i];
        agree += peer->voter && peer->verdict == DIVERGENCE_AGREES;
        differ += peer->voter && peer->verdict == DIVERGENCE_DIFFERS;
    }
    return differ > agree;
}

/* A peer that has applied nothing since its start reports no hash (0). */
enum divergence_verdict
divergence_compare(const struct divergence *divergence, uint64_t index, uint64_t hash)
{
    if (index == 0 || hash == 0 || divergence->at[index % DIVERGENCE_KEPT].index != index) {
        return DIVERGENCE_UNKNOWN;
    }
    return divergence->at[index % DIVERGENCE_KEPT].hash == hash ? DIVERGENCE_AGREES
                                                                : DIVERGENCE_DIFFERS;
}

/* The last index at which more than half of the voters are known to hold our state; 0: none. */
static uint64_t agreed_index(const struct divergence *divergence,
                             const struct raft_configuration *configuration,
                             struct member_id self)
{
    uint64_t agreed[RAFT_SERVERS_MAX]; /* descending */
    uint32_t voters = 0;
    bool ours = false;
    for (uint32_t i = 0; i < configuration->count; i++) {
        const struct raft_server *server = &configuration->servers[i];
        if (server->voter_old) {
            return 0;
        }
        if (!server->voter) {
            continue;
        }
        bool is_self = member_id_equal(server->id, self);
        const struct divergence_peer *peer = find(divergence, server->id);
        uint64_t index = is_self ? UINT64_MAX : peer == NULL ? 0 : peer->agreed_index;
        uint32_t at = voters++;
        while (at > 0 && agreed[at - 1] < index) {
            agreed[at] = agreed[at - 1];
            at--;
        }
        agreed[at] = index;
        ours = ours || is_self;
    }
    return ours && voters > 1 ? agreed[voters / 2] : 0;
}

/* NULL: there are more than a configuration has room for, until divergence_keep. */
static struct divergence_peer *peer_of(struct divergence *divergence, struct member_id id)
{
    const struct divergence_peer *known = find(divergence, id);
    if (known != NULL) {
        return &divergence->peers[known - divergence->peers];
    }
    if (divergence->peers_count == RAFT_SERVERS_MAX) {
        return NULL;
    }
    struct divergence_peer *peer = &divergence->peers[divergence->peers_count++];
    *peer = (struct divergence_peer){.id = id};
    return peer;
}

static const struct divergence_peer *find(const struct divergence *divergence, struct member_id id)
{
    for (uint32_t i = 0; i < divergence->peers_count; i++) {
        if (member_id_equal(divergence->peers[i].id, id)) {
            return &divergence->peers[i];
        }
    }
    return NULL;
}
