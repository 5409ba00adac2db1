/* SPDX-License-Identifier: Apache-2.0 */
/* The sidecar's side of a lease: when to send the next renewal, and until when the answers allow
 * writing. Counted from the *send* of the renewal, by CLOCK_BOOTTIME nanoseconds read at the send
 * (safety.md 4): deadline = send + L - margin. A grant without a known send gives nothing. Pure. */
#ifndef INDABA_REPLICATION_LEASE_HOLDER_H
#define INDABA_REPLICATION_LEASE_HOLDER_H

#include "model/records.h"
#include "model/report.h"

enum {
    LEASE_RENEW_FIRST_MS = 250, /* between renewals while L is not known */
    LEASE_SENDS_MAX = 32,       /* renewals without an answer that are remembered */
};

struct lease_holder {
    struct epoch epoch; /* 0: wants no lease */
    uint64_t next_id;
    uint64_t session_id;  /* of the first renewal of the open session */
    uint64_t answered_id; /* of the last renewal that was answered, granted or not */
    uint32_t lease_ms;    /* L of the last answer, 0 before */
    uint64_t last_send_ns;
    bool sent;            /* last_send_ns is of this epoch */
    uint64_t deadline_ns; /* the lease runs while now < deadline; 0: none */

    struct {
        uint64_t id; /* 0: free */
        uint64_t send_ns;
    } sends[LEASE_SENDS_MAX];
};

/* `first_id` must differ between runs of the sidecar (random or boottime): ids are never reused. */
void lease_holder_init(struct lease_holder *holder, uint64_t first_id);

/* Follows the goal: GOAL_PRIMARY of an epoch above `fenced_epoch` wants a lease of it; anything
 * else (NULL too) gives up what is held. */
void lease_holder_goal(struct lease_holder *holder,
                       const struct goal *goal,
                       struct epoch fenced_epoch);

/* A new session: answers to older sends still count; the next renewal is due at once. */
void lease_holder_session_opened(struct lease_holder *holder);

/* True if a renewal is due at `now_ns`, which is then noted as its send time: read the clock right
 * before the call, and hand the renewal to the socket right after it. */
bool lease_holder_renew(struct lease_holder *holder, uint64_t now_ns, struct renewal *renewal_out);

/* When the next renewal is due; UINT64_MAX if none is wanted. */
uint64_t lease_holder_next_ns(const struct lease_holder *holder);

/* When the oldest renewal was sent that the open session has not answered, nor a later one; 0:
 * there is none. */
uint64_t lease_holder_unanswered_ns(const struct lease_holder *holder);

/* An answer arrived. True if the deadline moved: tell the guardian. */
bool lease_holder_answer(struct lease_holder *holder, const struct renewal_answer *answer);

/* The epoch whose lease runs at `now_ns`; 0 if none. */
struct epoch lease_holder_running(const struct lease_holder *holder, uint64_t now_ns);

/* Drops the lease: a fence is reported, or the guardian is gone. */
void lease_holder_give_up(struct lease_holder *holder);

#endif
