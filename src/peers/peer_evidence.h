/* SPDX-License-Identifier: Apache-2.0 */
/* What connections prove of a peer's process (docs/safety.md, 6): a dial that nobody listens to
 * says that it is gone, and so does another process in its place; silence says nothing. Pure:
 * production (peers.c) and the simulator ask the same rule. */
#ifndef INDABA_PEERS_PEER_EVIDENCE_H
#define INDABA_PEERS_PEER_EVIDENCE_H

#include <stdbool.h>
#include <stdint.h>

enum peer_evidence_kind {
    PEER_EVIDENCE_NONE,
    PEER_EVIDENCE_REFUSED, /* nobody listened at the last dial */
    PEER_EVIDENCE_REBORN,  /* the process we knew is gone, another answers */
};

/* Zeros: nothing is known. */
struct peer_evidence {
    enum peer_evidence_kind kind;
    uint64_t incarnation; /* of its process, 0 unknown */
};

/* What is to be told of the peer now. */
enum peer_evidence_news {
    PEER_EVIDENCE_SAYS_NOTHING,
    PEER_EVIDENCE_SAYS_DEAD,
    PEER_EVIDENCE_SAYS_ALIVE,
};

/* Its process was seen, over either direction; not 0. */
enum peer_evidence_news peer_evidence_process(struct peer_evidence *evidence, uint64_t incarnation);
/* Nobody listens where it should. */
enum peer_evidence_news peer_evidence_refused(struct peer_evidence *evidence);
/* A link to it stands. A new process gives no reason to trust the office of the old one: that
 * evidence is withdrawn by Raft itself, when the peer speaks in a later term. */
enum peer_evidence_news peer_evidence_open(struct peer_evidence *evidence);
/* It is a peer no more: whatever stands against it is withdrawn. */
enum peer_evidence_news peer_evidence_let_go(struct peer_evidence *evidence);

#endif
