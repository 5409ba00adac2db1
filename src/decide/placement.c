/* SPDX-License-Identifier: Apache-2.0 */
/* Where a primary belongs when position does not decide, and a shard's very first primary. */
#include "decide/placement.h"

#include "decide/explain.h"

#include <string.h>

enum {
    COST_NOT_PREFERRED = 1u << 20,
    COST_MAINTENANCE = 1u << 21,
    COST_DRAINING = 1u << 22,
    RANK_MAX = (1u << 20) - 1,
};

static bool fit_for_bootstrap(const struct observation *observation, uint64_t now_ms);

uint32_t
placement_cost(const struct shard *shard, const struct region_list *regions, const char *region)
{
    uint32_t cost = 0;

    if (!shard_allows_region(shard, region)) {
        return UINT32_MAX;
    }
    if (shard->preferred_region[0] != '\0' && strcmp(shard->preferred_region, region) != 0) {
        cost += COST_NOT_PREFERRED;
    }
    for (uint32_t i = 0; i < regions->count; i++) {
        const struct region *known = &regions->regions[i];
        if (strcmp(known->name, region) != 0) {
            continue;
        }
        cost += known->rank < RANK_MAX ? known->rank : RANK_MAX;
        switch (known->state) {
        case REGION_ACTIVE:
            break;
        case REGION_DRAINING:
            cost += COST_DRAINING;
            break;
        case REGION_MAINTENANCE:
            cost += COST_MAINTENANCE;
            break;
        }
    }
    return cost;
}

struct instance_id placement_bootstrap(const struct shard_view *view,
                                       const struct observations *observations,
                                       const struct region_list *regions,
                                       uint64_t now_ms,
                                       char *reason_out)
{
    const struct instance *best = NULL;
    uint32_t best_cost = UINT32_MAX;
    uint32_t fit_count = 0;

    for (uint32_t i = 0; i < view->instances_count; i++) {
        const struct instance *instance = &view->instances[i];
        if (!fit_for_bootstrap(observe_find(observations, instance->id), now_ms)) {
            continue;
        }
        fit_count++;
        uint32_t cost = placement_cost(&view->shard, regions, instance->region);
        if (cost < best_cost) {
            best = instance;
            best_cost = cost;
        }
    }
    if (best == NULL) {
        explain(reason_out,
                "no instance with an empty data folder in an allowed region has reported yet");
        return (struct instance_id){0};
    }
    uint64_t waited_ms = now_ms - observations->first_session_ms;
    bool preferred = best_cost < COST_NOT_PREFERRED;
    if (fit_count < 2 && waited_ms < PLACEMENT_GATHER_MS) {
        explain(reason_out, "waiting for more instances to report before the first one is chosen");
        return (struct instance_id){0};
    }
    if (!preferred && waited_ms < PLACEMENT_PREFERRED_MS) {
        explain(reason_out,
                "waiting for an instance of the preferred region %s",
                view->shard.preferred_region);
        return (struct instance_id){0};
    }
    explain(reason_out, "first primary: %s in region %s", best->name, best->region);
    return best->id;
}

static bool fit_for_bootstrap(const struct observation *observation, uint64_t now_ms)
{
    return observation_is_fresh(observation, now_ms, OBSERVATION_FRESH_MS) &&
           observation->report.state == INSTANCE_EMPTY;
}
