/* SPDX-License-Identifier: Apache-2.0 */
/* Where a primary belongs when position does not decide: region states, preference and rank; and
 * the choice of a shard's very first primary. Pure. */
#ifndef INDABA_DECIDE_PLACEMENT_H
#define INDABA_DECIDE_PLACEMENT_H

#include "decide/candidate.h"

enum {
    PLACEMENT_GATHER_MS = 2000,     /* the first instance waits so long for company */
    PLACEMENT_PREFERRED_MS = 10000, /* and so long for one of the preferred region */
};

/* Lower is better: preferred region first, then active regions by rank; UINT32_MAX if the region is
 * not allowed for the shard. */
uint32_t
placement_cost(const struct shard *shard, const struct region_list *regions, const char *region);

/* The instance to bootstrap, none if it is too early or nobody is fit (`reason_out`, TEXT_SIZE
 * bytes, says which). Only instances with an open session that report an empty folder are fit. */
struct instance_id placement_bootstrap(const struct shard_view *view,
                                       const struct observations *observations,
                                       const struct region_list *regions,
                                       uint64_t now_ms,
                                       char *reason_out);

#endif
