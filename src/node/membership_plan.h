/* SPDX-License-Identifier: Apache-2.0 */
/* What the leader does next so that the consensus core follows the cluster's own record of its
 * members: who is wanted, as what, with which timers, and where the leader had best be. One step at
 * a time; each is looked at anew, so nothing is lost with a leader. Pure. */
#ifndef INDABA_NODE_MEMBERSHIP_PLAN_H
#define INDABA_NODE_MEMBERSHIP_PLAN_H

#include "model/records.h"
#include "raft/raft.h"

enum {
    /* A leader outside the preferred region hands over only to a voter that was there and caught up
     * for so long, and only after so long in office: regions that come and go move nothing. */
    MEMBERSHIP_PREFER_MS = 10000,
};

struct membership_wish {
    const struct member *members; /* the record */
    uint32_t members_count;
    const struct region *regions;
    uint32_t regions_count;
    struct raft_rules rules;
    const char *leader_region; /* "": no wish */
};

enum membership_step {
    MEMBERSHIP_DONE,   /* the core is as the record wants it */
    MEMBERSHIP_WAIT,   /* a change is under way */
    MEMBERSHIP_CHANGE, /* make `target` the configuration */
    MEMBERSHIP_GONE,   /* `member` has left the configuration for good: drop its record */
};

struct membership_order {
    enum membership_step step;
    struct raft_configuration target;
    struct member_id member;
};

/* How long a better leader has been ready. Zeros are a valid start, and right for a new office. */
struct membership_preference {
    struct member_id candidate;
    uint64_t since_ms;
    uint64_t not_before_ms; /* a hand-over that did not come off is not repeated at once */
};

/* `status` is that of a leader. */
void membership_plan(const struct membership_wish *wish,
                     const struct raft_status *status,
                     struct membership_order *order_out);

/* The configuration that the record wants, as far as it can be reached in one step. A server that
 * no record names stays as it is: nobody asked for its removal. */
void membership_target(const struct membership_wish *wish,
                       const struct raft_status *status,
                       struct raft_configuration *target_out);

/* To be asked when the plan says MEMBERSHIP_DONE. True, with the member, when it is time to hand
 * over. */
bool membership_prefers(const struct membership_wish *wish,
                        const struct raft_status *status,
                        uint64_t now_ms,
                        struct membership_preference *preference,
                        struct member_id *member_out);

/* The level of commands that every member is known to apply (state/command.h); at least 1, for what
 * said nothing yet is of the first release. */
uint32_t membership_level(const struct member *members, uint32_t count);

#endif
