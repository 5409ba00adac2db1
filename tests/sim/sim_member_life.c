/* SPDX-License-Identifier: Apache-2.0 */
/* How a coordinator begins and ends: from its disk, by a crash, as somebody new. */
#include "tests/sim/sim_world.h"

#include "base/check.h"
#include "base/mem.h"

#include <inttypes.h>

enum {
    SNAPSHOT_CHUNK_BYTES = 32 * 1024,
    LOG_TAIL_BYTES = 64 * 1024,
    START_AGAIN_US = 1000 * SIM_MS,
};

static struct raft *
make_core(struct sim *sim, const struct sim_member *member, const struct sim_recovered *found);
static void announce(struct sim *sim, const struct sim_member *member);

void sim_member_start(struct sim *sim, struct sim_member *member)
{
    struct sim_recovered found = {0};

    CHECK(!member->up);
    if (member->rotten) {
        return;
    }
    if (!sim_member_recover(sim, member, &found)) {
        sim_after(
            sim, START_AGAIN_US, (struct sim_item){.kind = EV_MEMBER_START, .node = member->node});
        return;
    }
    member->up = true;
    member->paused = false;
    member->generation++;
    member->disk_done_seq = 0;
    member->controller = controller_new();
    member->raft = make_core(sim, member, &found);
    wal_recovered_deinit(&found.log);
    sim_voices_forget(member);
    sim_voices_know(sim, member);
    member->applied_told = member->applied;
    member->role = RAFT_FOLLOWER;
    member->elected = false;
    member->tickets_count = 0;
    member->sessions_count = 0;
    member->waits.count = 0;
    member->leader = (struct member_id){0};
    member->timer_at_us = 0;
    member->taking = false;
    member->installing = false;
    sim_member_load(sim, member);
    announce(sim, member);
    sim_trace(sim, "member %u starts at index %" PRIu64, member->node, member->applied);
    struct raft_event event = {.type = RAFT_EVENT_TICK};
    sim_member_step(sim, member, &event);
    sim_member_settle(sim, member);
}

void sim_member_crash(struct sim *sim, struct sim_member *member, bool power, bool tell)
{
    if (!member->up) {
        return;
    }
    sim_trace(sim, "member %u %s", member->node, power ? "loses power" : "is killed");
    sim_member_stop(sim, member);
    sim_store_crash(&member->store, power, prng_chance(&sim->faults, 500));
    if (power) {
        tables_memory_free(member->tables_memory);
        member->tables_memory = NULL;
    }
    for (uint32_t i = 1; i <= sim->streams_count; i++) {
        const struct sim_stream *stream = &sim->streams[i];
        if (stream->open && stream->kind == STREAM_SESSION && stream->b == member->node) {
            sim_stream_close(sim, i, false, tell);
        }
    }
    for (uint32_t i = 1; tell && i <= sim->members_count; i++) {
        if (i != member->node && !sim->net.links[member->node][i].cut) {
            sim_after(
                sim,
                sim_draw(sim, 1 * SIM_MS, 20 * SIM_MS),
                (struct sim_item){.kind = EV_MEMBER_EVIDENCE, .node = i, .number = member->node});
        }
    }
}

void sim_member_replace(struct sim *sim, struct sim_member *member)
{
    sim_member_crash(sim, member, false, true);
    sim_trace(sim, "member %u is replaced", member->node);
    tables_memory_free(member->tables_memory);
    member->tables_memory = NULL;
    member->rotten = false;
    member->founder = false;
    member->incarnation++;
    member->id.lo = member->node | (uint64_t)member->incarnation << 8;
    member->voices.vouched_count = 0;
    sim_store_format(&member->store,
                     member->store.cluster,
                     member->id,
                     sim->seed * 31 + member->id.lo,
                     member->store.lies);
    sim_member_start(sim, member);
}

void sim_member_stop(struct sim *sim, struct sim_member *member)
{
    (void)sim;
    if (member->up) {
        raft_free(member->raft);
        controller_free(member->controller);
    }
    member->up = false;
    member->generation++;
    member->disk_done_seq = 0;
}

static struct raft *
make_core(struct sim *sim, const struct sim_member *member, const struct sim_recovered *found)
{
    bool far = sim->swarm.delay_max_us > 20 * SIM_MS;
    const struct raft_configuration nobody = {0};
    const struct raft_configuration *founding = member->founder ? &sim->configuration : &nobody;
    struct raft_options options = {
        .self = member->id,
        .seed = sim->seed * 1000 + member->node * 100 + member->generation,
        .heartbeat_ms = far ? 150 : 50,
        .election_ms = far ? 1500 : 500,
        .rank = member->node - 1,
        .log_tail_entries = sim->swarm.log_tail_entries,
        .log_tail_bytes = LOG_TAIL_BYTES,
        .snapshot_chunk_bytes = SNAPSHOT_CHUNK_BYTES,
    };
    struct raft_recovered recovered = {
        .hard_state = found->log.hard_state,
        .entries = found->log.entries,
        .entries_count = found->log.entries_count,
        .snapshot_index = found->newest.index,
        .snapshot_term = found->newest.term,
        .snapshot_size = found->newest.size,
        .configuration = found->newest.index != 0 ? found->configuration : *founding,
        .applied_index = member->applied,
        .partial_index = found->partial.index,
        .partial_term = found->partial.term,
        .partial_bytes = found->partial.size,
    };

    return raft_new(&options, &recovered, sim_member_local_ms(sim, member));
}

/* The others see that it is back. */
static void announce(struct sim *sim, const struct sim_member *member)
{
    for (uint32_t i = 1; i <= sim->members_count; i++) {
        if (i != member->node) {
            uint64_t number = member->node | UINT64_C(1) << 8;
            sim_after(sim,
                      sim_draw(sim, 1 * SIM_MS, 50 * SIM_MS),
                      (struct sim_item){.kind = EV_MEMBER_EVIDENCE, .node = i, .number = number});
        }
    }
}
