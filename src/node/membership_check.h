/* SPDX-License-Identifier: Apache-2.0 */
/* What a wanted change of the members would come to, told before it goes on record. The consensus
 * core refuses a step after which those that answer could not decide anything (raft/joint.h); a
 * wish for such a step would stand on record and wait, so it is refused where it is made, with the
 * names. Pure. */
#ifndef INDABA_NODE_MEMBERSHIP_CHECK_H
#define INDABA_NODE_MEMBERSHIP_CHECK_H

#include "node/membership_plan.h"

enum membership_verdict {
    MEMBERSHIP_FITS,
    MEMBERSHIP_UNSURE, /* the leader has not heard enough yet: ask again in a moment */
    MEMBERSHIP_STOPS,  /* nothing could be decided any more */
};

struct membership_forecast {
    enum membership_verdict verdict;
    char why[TEXT_SIZE];     /* unless it fits */
    char warning[TEXT_SIZE]; /* what is lawful and unwise about it; "": nothing */
};

/* `before` is the record as it is, `after` as it would be; `status` is that of a leader. */
void membership_check(const struct membership_wish *before,
                      const struct membership_wish *after,
                      const struct raft_status *status,
                      struct membership_forecast *forecast_out);

/* The first region without whose voters there is no majority; NULL if there is none. */
const char *membership_region_at_risk(const struct member *members, uint32_t count);

#endif
