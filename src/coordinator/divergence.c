/* SPDX-License-Identifier: Apache-2.0 */
/* Compares the members' states by their rolling hashes. */
#include "coordinator/divergence.h"

#include "base/check.h"

#include <string.h>

static enum divergence_verdict
compare(const struct divergence *divergence, uint64_t index, uint64_t hash);
static struct divergence_peer *peer_of(struct divergence *divergence, struct member_id id);

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
}

bool divergence_look(struct divergence *divergence, const struct raft_peer_status *peer)
{
    struct divergence_peer *known = peer_of(divergence, peer->id);
    enum divergence_verdict verdict = compare(divergence, peer->applied_index, peer->state_hash);
    if (known == NULL) {
        return false;
    }
    known->voter = peer->voter;
    if (verdict == DIVERGENCE_UNKNOWN || verdict == known->verdict) {
        return false;
    }
    known->verdict = verdict;
    return verdict == DIVERGENCE_DIFFERS;
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
static enum divergence_verdict
compare(const struct divergence *divergence, uint64_t index, uint64_t hash)
{
    if (index == 0 || hash == 0 || divergence->at[index % DIVERGENCE_KEPT].index != index) {
        return DIVERGENCE_UNKNOWN;
    }
    return divergence->at[index % DIVERGENCE_KEPT].hash == hash ? DIVERGENCE_AGREES
                                                                : DIVERGENCE_DIFFERS;
}

/* NULL: more peers came and went in this office than there is room for. */
static struct divergence_peer *peer_of(struct divergence *divergence, struct member_id id)
{
    for (uint32_t i = 0; i < divergence->peers_count; i++) {
        if (member_id_equal(divergence->peers[i].id, id)) {
            return &divergence->peers[i];
        }
    }
    if (divergence->peers_count == RAFT_SERVERS_MAX) {
        return NULL;
    }
    struct divergence_peer *peer = &divergence->peers[divergence->peers_count++];
    *peer = (struct divergence_peer){.id = id};
    return peer;
}
