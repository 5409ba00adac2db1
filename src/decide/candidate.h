/* SPDX-License-Identifier: Apache-2.0 */
/* Who may become primary: lawful (an allowed region), complete (at or above every floor; in sync
 * mode the highest position reported), and the best of those (reachable, tried in vain less often,
 * preferred region, rank, replays least, id). Also collects the final reports that count. Pure. */
#ifndef INDABA_DECIDE_CANDIDATE_H
#define INDABA_DECIDE_CANDIDATE_H

#include "decide/observation.h"

/* What deciders know of regions besides their names in a view; may be empty. */
struct region_list {
    const struct region *regions;
    uint32_t count;
};

/* The final reports that count for the failover of the view: of its epoch, cut from its old
 * primary, position final, incarnation as registered. Returns how many; `reports_out` holds
 * SHARD_INSTANCES_MAX. */
uint32_t candidate_final_reports(const struct shard_view *view,
                                 const struct observations *observations,
                                 struct final_report *reports_out);

struct candidate_choice {
    struct instance_id instance; /* none: nobody is lawful and complete */
    struct position position;
    char reason[TEXT_SIZE]; /* why this one, or why nobody */
};

/* Somebody besides the old primary who was heard in this attempt and whose report does not count
 * yet: what he says of himself is why. NULL if there is nobody. */
const struct observation *candidate_unfinished(const struct shard_view *view,
                                               const struct observations *observations);

/* Chooses among view->failover.reports. `wanted` (none: nobody in particular) wins among equals. */
void candidate_choose(const struct shard_view *view,
                      const struct observations *observations,
                      const struct region_list *regions,
                      struct instance_id wanted,
                      struct candidate_choice *choice_out);

#endif
