/* SPDX-License-Identifier: Apache-2.0 */
/* What the leader knows of every shard, printed when a run ends badly. */
#include "tests/sim/sim_world.h"

#include "state/query.h"

#include <inttypes.h>

static void trace_pair(struct sim *sim, const struct sync_pair *pair)
{
    sim_trace(sim, "  pair of %u, required %u", pair->members_count, pair->required);
    for (uint32_t i = 0; i < pair->members_count; i++) {
        sim_trace(sim,
                  "    instance %u incarnation %" PRIx64,
                  pair->members[i].instance.value,
                  pair->members[i].incarnation.value);
    }
}

static void trace_instance(struct sim *sim,
                           const struct sim_member *leader,
                           uint32_t shard,
                           const struct instance *instance)
{
    struct controller_instance heard;
    uint64_t now_ms = sim_clock_read(sim, leader->node) / SIM_MS;

    if (controller_instance(node_controller(leader->core),
                            (struct shard_id){shard},
                            instance->id,
                            now_ms,
                            &heard) != ERR_OK) {
        return;
    }
    char text[POSITION_TEXT_SIZE];
    sim_trace(sim,
              "  instance %u (%s) incarnation %" PRIx64 ": %s %s%s, epoch %" PRIu64
              " goal %s met %d position %s final %d fenced %" PRIu64
              " streaming %u caught up %u: %s",
              instance->id.value,
              instance->name,
              instance->incarnation.value,
              heard.session_open ? "session" : "no session",
              heard.heard ? instance_state_name(heard.report.state) : "unheard",
              heard.report.receiver_streaming ? ", streams" : "",
              heard.report.epoch.value,
              goal_role_name(heard.report.goal_role),
              heard.report.goal_met,
              position_format(heard.report.position, text),
              heard.report.position_final,
              heard.report.fenced_epoch.value,
              heard.report.streaming_count,
              heard.report.caught_up_count,
              heard.report.detail);
}

void sim_trace_views(struct sim *sim)
{
    const struct sim_member *leader = sim_leader(sim);

    for (uint32_t i = 1; i <= sim->shards_count && leader != NULL; i++) {
        struct shard_view view;
        char text[POSITION_TEXT_SIZE];
        if (query_shard(&leader->tables, (struct shard_id){i}, &view) != ERR_OK) {
            continue;
        }
        sim_trace(sim,
                  "shard %u %s: epoch %" PRIu64 " primary %u of epoch %" PRIu64
                  " opened %d step %s in_place %d floor %s sync version %" PRIu64 " pairs %u",
                  i,
                  view.shard.mode == SHARD_SYNC ? "sync" : "async",
                  view.shard.epoch.value,
                  view.shard.primary.value,
                  view.shard.primary_epoch.value,
                  view.shard.opened,
                  failover_step_name(view.failover.step),
                  view.failover.in_place,
                  position_format(view.shard.floor, text),
                  view.shard.sync.version,
                  view.shard.sync.pairs_count);
        char waiting[TEXT_SIZE];
        controller_waiting(node_controller(leader->core), view.shard.id, waiting);
        sim_trace(sim, "  waits for: %s", waiting);
        for (uint32_t k = 0; k < view.shard.sync.pairs_count; k++) {
            trace_pair(sim, &view.shard.sync.pairs[k]);
        }
        for (uint32_t k = 0; k < view.instances_count; k++) {
            trace_instance(sim, leader, i, &view.instances[k]);
        }
    }
}
