/* SPDX-License-Identifier: Apache-2.0 */
/* See peer_evidence.h. */
#include "peers/peer_evidence.h"

#include "base/check.h"

enum peer_evidence_news peer_evidence_process(struct peer_evidence *evidence, uint64_t incarnation)
{
    CHECK(incarnation != 0);
    bool another = evidence->incarnation != 0 && evidence->incarnation != incarnation;
    evidence->incarnation = incarnation;
    if (!another) {
        return PEER_EVIDENCE_SAYS_NOTHING;
    }
    evidence->kind = PEER_EVIDENCE_REBORN;
    return PEER_EVIDENCE_SAYS_DEAD;
}

enum peer_evidence_news peer_evidence_refused(struct peer_evidence *evidence)
{
    evidence->kind = PEER_EVIDENCE_REFUSED;
    return PEER_EVIDENCE_SAYS_DEAD;
}

enum peer_evidence_news peer_evidence_open(struct peer_evidence *evidence)
{
    return evidence->kind == PEER_EVIDENCE_REFUSED ? peer_evidence_let_go(evidence)
                                                   : PEER_EVIDENCE_SAYS_NOTHING;
}

enum peer_evidence_news peer_evidence_let_go(struct peer_evidence *evidence)
{
    bool was_refused = evidence->kind == PEER_EVIDENCE_REFUSED;
    evidence->kind = PEER_EVIDENCE_NONE;
    return was_refused ? PEER_EVIDENCE_SAYS_ALIVE : PEER_EVIDENCE_SAYS_NOTHING;
}
