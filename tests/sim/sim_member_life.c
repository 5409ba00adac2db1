/* SPDX-License-Identifier: Apache-2.0 */
/* How a coordinator begins and ends: configured, from its disk, by a crash, as somebody new. */
#include "tests/sim/sim_world.h"

#include "base/check.h"
#include "base/mem.h"
#include "node/node_internal.h"

#include <inttypes.h>
#include <stdio.h>

enum {
    SNAPSHOT_CHUNK_BYTES = 32 * 1024,
    ENTRY_BYTES = 200, /* about, of the log: snapshots are due by bytes */
    LOG_BYTES_NEVER = 1 << 30,
    START_AGAIN_US = 1000 * SIM_MS,
};

static void configure(struct sim *sim, struct sim_member *member);
static enum error recover(struct sim *sim, struct sim_member *member, struct reason *reason);
static void refuse(struct sim *sim, struct sim_member *member, enum error error, const char *why);

void sim_member_start(struct sim *sim, struct sim_member *member)
{
    struct reason reason = {0};

    CHECK(!member->up);
    if (member->rotten) {
        return;
    }
    member->sim = sim;
    configure(sim, member);
    enum error error = recover(sim, member, &reason);
    if (error != ERR_OK) {
        refuse(sim, member, error, reason.text);
        return;
    }
    member->up = true;
    member->applied = member->core->applied;
    member->term = member->core->term;
    sim_trace(sim, "member %u starts at index %" PRIu64, member->node, member->applied);
    sim_member_attach(member);
    sim_serve_open(member);
    node_start(member->core);
    sim_after(sim,
              CONTROLLER_TICK_MS * SIM_MS,
              (struct sim_item){
                  .kind = EV_MEMBER_TICK, .node = member->node, .number = member->generation});
    sim_member_settle(sim, member);
}

void sim_member_crash(struct sim *sim, struct sim_member *member, bool power, bool tell)
{
    if (!member->up) {
        return;
    }
    sim_trace(sim, "member %u %s", member->node, power ? "loses power" : "is killed");
    member->silent = !tell;
    sim_member_stop(sim, member);
    sim_store_crash(&member->store, power, prng_chance(&sim->faults, 500));
    if (power) {
        tables_memory_free(member->tables_memory);
        member->tables_memory = NULL;
        member->wrong = false;
    }
    for (uint32_t i = 1; i <= sim->streams_count; i++) {
        const struct sim_stream *stream = &sim->streams[i];
        if (stream->open && stream->kind == STREAM_SESSION && stream->b == member->node) {
            sim_stream_close(sim, i, false, tell);
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
    member->wrong = false;
    member->founder = false;
    member->applied = 0;
    member->incarnation++;
    member->id.lo = member->node | (uint64_t)member->incarnation << 8;
    member->config.members_count = 0;
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
        member->up = false;
        sim_serve_close(member);
        node_stop(member->core);
        sim_io_drop_jobs(member);
        node_free(member->core);
        sim_serve_drop(member);
        member->core = NULL;
    }
    member->generation++;
    member->disk_done_seq = 0;
}

/* Its file: written once, with the members as they were known then. */
static void configure(struct sim *sim, struct sim_member *member)
{
    struct member_config *config = &member->config;
    bool far = sim->swarm.delay_max_us > 20 * SIM_MS;

    if (config->members_count > 0) {
        return;
    }
    *config = (struct member_config){
        .cluster = member->store.cluster,
        .cluster_name = "sim",
        .lease_ms = SIM_LEASE_MS,
        .member = member->id,
        .dir = "home",
        .heartbeat_ms = far ? 150 : 50,
        .election_ms = far ? 1500 : 500,
        .snapshot_bytes = sim->swarm.snapshot_every == 0
                              ? LOG_BYTES_NEVER
                              : (uint64_t)sim->swarm.snapshot_every * ENTRY_BYTES,
        .log_level = LOG_ERROR,
    };
    (void)sim_voices_name(member->id, config->name);
    (void)snprintf(config->region, NAME_SIZE, "region-%u", member->region);
    for (uint32_t i = 0; i < SIM_REGIONS; i++) {
        (void)snprintf(config->regions[i].name, NAME_SIZE, "region-%u", i + 1);
        config->regions[i].rank = i + 1;
    }
    config->regions_count = SIM_REGIONS;
    for (uint32_t i = 1; i <= sim->members_count; i++) {
        const struct sim_member *other = &sim->members[i];
        if (!member->founder || other->founder) {
            uint32_t at = config->members_count++;
            while (at > 0 && member_id_compare(config->members[at - 1].id, other->id) > 0) {
                config->members[at] = config->members[at - 1];
                at--;
            }
            sim_member_record(other, &config->members[at]);
        }
    }
}

void sim_member_record(const struct sim_member *from, struct member *to)
{
    *to = (struct member){.id = from->id, .standing = MEMBER_VOTER};
    (void)sim_voices_name(from->id, to->name);
    (void)snprintf(to->region, NAME_SIZE, "region-%u", from->region);
    (void)snprintf(
        to->peer_address, ADDRESS_SIZE, "10.1.%u.%u:7401", from->incarnation, from->node);
    (void)snprintf(to->api_address, ADDRESS_SIZE, "10.1.%u.%u:7400", from->incarnation, from->node);
    (void)snprintf(to->ops_address, ADDRESS_SIZE, "10.1.%u.%u:7402", from->incarnation, from->node);
}

uint32_t sim_member_at(const struct sim *sim, const char *address, uint32_t *incarnation_out)
{
    uint32_t node = 0;

    bool ours = sscanf(address, "10.1.%" SCNu32 ".%" SCNu32 ":7401", incarnation_out, &node) == 2;
    return ours && node <= sim->members_count ? node : 0;
}

static enum error recover(struct sim *sim, struct sim_member *member, struct reason *reason)
{
    struct node_core core = {
        .io = &member->io,
        .ctx = member,
        .links = sim_io_links(),
        .links_ctx = member,
        .config = &member->config,
        .incarnation = (uint64_t)member->node << 32 | (member->generation + 1),
        .vouch_hint = "indaba member vouch",
        .seed = sim->seed * 1000 + member->node * 100 + member->generation + 1,
        .log_tail_entries = sim->swarm.log_tail_entries,
        .snapshot_chunk_bytes = SNAPSHOT_CHUNK_BYTES,
    };

    if (member->founder) {
        core.founding = sim->configuration;
    }
    member->paths = (struct node_paths){.dir = "home", .snapshots = "snapshots", .store = "store"};
    member->paused = false;
    member->dying = false;
    member->generation++;
    member->disk_done_seq = 0;
    member->apply_busy_us = 0;
    member->role = RAFT_FOLLOWER;
    member->elected = false;
    member->sessions_count = 0;
    member->leader = (struct member_id){0};
    member->deadline_us = UINT64_MAX;
    member->timer_at_us = UINT64_MAX;
    STAILQ_INIT(&member->jobs);
    TAILQ_INIT(&member->waits.all);
    member->waits.count = 0;
    sim_io_fill(member);
    member->core = node_new(&core);
    return node_recover(member->core, reason);
}

/* Only what rotted may be found not to tell one story; any other error is of a disk that can get
 * well again. */
static void refuse(struct sim *sim, struct sim_member *member, enum error error, const char *why)
{
    bool has_log = member->store.wal != NULL;

    node_free(member->core);
    member->core = NULL;
    sim_store_close(&member->store);
    sim_trace(sim, "member %u refuses to start: %s", member->node, why);
    if (error == ERR_CORRUPT && has_log && !member->store.was_rotten) {
        sim_fail(sim, "member %u does not find one story: %s", member->node, why);
    }
    member->rotten = error == ERR_CORRUPT;
    sim->refusals_count += member->rotten;
    sim_after(
        sim, START_AGAIN_US, (struct sim_item){.kind = EV_MEMBER_START, .node = member->node});
}
