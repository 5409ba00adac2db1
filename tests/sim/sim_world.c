/* SPDX-License-Identifier: Apache-2.0 */
/* Virtual time: the queue, the clocks, the hash of everything that happens, and the life of one
 * world: set up, faults, healing, the last look. */
#include "tests/sim/sim_world.h"

#include "base/check.h"
#include "base/hash.h"
#include "base/mem.h"

#include <inttypes.h>
#include <stdarg.h>
#include <stdlib.h>
#include <string.h>

enum {
    HEAL_US_MAX = 240 * 1000 * SIM_MS, /* everything must be well again within this */
    CHECK_EVERY_US = 500 * SIM_MS,
};

static void init(struct sim *sim, uint64_t seed);
static void run(struct sim *sim);
static void set_up(struct sim *sim);
static void set_up_trouble(struct sim *sim);
static void set_up_clock(struct sim *sim, uint32_t node);
static void set_up_instance(struct sim *sim, uint32_t number);

bool sim_run(struct sim *sim, uint64_t seed, enum sim_mutant mutant, bool verbose)
{
    init(sim, seed);
    sim->mutant = mutant;
    sim->verbose = verbose;
    sim_swarm_draw(sim);
    run(sim);
    return !sim->failed;
}

void sim_run_measured(struct sim *sim, uint32_t members, uint64_t load_us, uint64_t measured_us)
{
    init(sim, 1);
    sim->swarm = (struct sim_swarm){
        .members = members,
        .founders = members,
        .log_tail_entries = 10000,
        .delay_min_us = 100,
        .delay_max_us = 1000,
        .load_us = load_us,
        .measured_us = measured_us,
    };
    run(sim);
    CHECK(!sim->failed);
}

static void init(struct sim *sim, uint64_t seed)
{
    memset(sim, 0, sizeof(*sim));
    sim->seed = seed;
    TAILQ_INIT(&sim->pipes);
    prng_init_stream(&sim->faults, sim->seed, "faults");
    prng_init_stream(&sim->work, sim->seed, "work");
    prng_init_stream(&sim->timing, sim->seed, "timing");
    prng_init_stream(&sim->keys, sim->seed, "keys");
    prng_init_stream(&sim->reads, sim->seed, "reads");
}

static void run(struct sim *sim)
{
    set_up(sim);
    while (!sim->failed && sim->queue.count > 0) {
        struct sim_item item = sim_queue_pop(&sim->queue);
        CHECK(item.time >= sim->now_us);
        sim->now_us = item.time;
        if (item.kind == EV_STOP) {
            break;
        }
        sim->events++;
        sim_mix(sim, item.time);
        sim_mix(sim, ((uint64_t)item.kind << 32) | item.node);
        sim_dispatch(sim, &item);
    }
    if (!sim->failed) {
        sim_check_end(sim);
    }
}

void sim_deinit(struct sim *sim)
{
    for (uint32_t i = 1; i <= sim->members_count; i++) {
        sim_member_stop(sim, &sim->members[i]);
        sim_store_deinit(&sim->members[i].store);
        tables_memory_free(sim->members[i].tables_memory);
    }
    while (sim->queue.count > 0) {
        struct sim_item item = sim_queue_pop(&sim->queue);
        if (item.kind == EV_PARCEL) {
            sim_pipe_drop(sim, item.data);
            continue;
        }
        if (item.kind == EV_MEMBER_FILE) {
            sim_io_file_drop(item.data);
            continue;
        }
        mem_free(item.data);
    }
    sim_queue_deinit(&sim->queue);
    sim_clients_deinit(sim);
    sim_streams_free(sim);
    for (uint32_t i = 1; i <= sim->instances_count; i++) {
        mem_free(sim->instances[i].db.wal);
        mem_free(sim->instances[i].image.wal);
    }
    mem_free(sim->writes);
    mem_free(sim->applied);
    mem_free(sim->term_leaders);
}

void sim_fail(struct sim *sim, const char *format, ...)
{
    va_list arguments;

    if (sim->failed) {
        return;
    }
    sim->failed = true;
    int len = snprintf(sim->failure,
                       sizeof(sim->failure),
                       "at %" PRIu64 ".%06" PRIu64 " s: ",
                       sim->now_us / 1000000,
                       sim->now_us % 1000000);
    CHECK(len > 0);
    va_start(arguments, format);
    (void)vsnprintf(sim->failure + len, sizeof(sim->failure) - (size_t)len, format, arguments);
    va_end(arguments);
}

void sim_trace(const struct sim *sim, const char *format, ...)
{
    va_list arguments;

    if (!sim->verbose) {
        return;
    }
    printf("%4" PRIu64 ".%06" PRIu64 " ", sim->now_us / 1000000, sim->now_us % 1000000);
    va_start(arguments, format);
    (void)vprintf(format, arguments);
    va_end(arguments);
    printf("\n");
}

void sim_at(struct sim *sim, uint64_t at_us, struct sim_item item)
{
    item.time = at_us > sim->now_us ? at_us : sim->now_us;
    sim_queue_push(&sim->queue, item);
}

void sim_after(struct sim *sim, uint64_t delay_us, struct sim_item item)
{
    sim_at(sim, sim->now_us + delay_us, item);
}

void sim_mix(struct sim *sim, uint64_t value)
{
    sim->hash = (sim->hash ^ value) * UINT64_C(0x9E3779B97F4A7C15);
    sim->hash ^= sim->hash >> 29;
}

uint64_t sim_clock_read(const struct sim *sim, uint32_t node)
{
    const struct sim_clock *clock = &sim->clocks[node];
    uint64_t ran_us = (clock->standing ? clock->standing_since_us : sim->now_us) - clock->frozen_us;

    return clock->offset_us + ran_us * clock->rate_ppm / 1000000;
}

uint64_t sim_clock_when(const struct sim *sim, uint32_t node, uint64_t local_us)
{
    const struct sim_clock *clock = &sim->clocks[node];
    uint64_t now_us = sim_clock_read(sim, node);

    if (local_us <= now_us) {
        return sim->now_us;
    }
    return sim->now_us + (local_us - now_us) * 1000000 / clock->rate_ppm + 1;
}

uint64_t sim_draw(struct sim *sim, uint64_t low_us, uint64_t high_us)
{
    return prng_between(&sim->timing, low_us, high_us);
}

struct sim_instance *sim_instance_of_node(struct sim *sim, uint32_t node)
{
    CHECK(node > sim->members_count);
    return &sim->instances[node - sim->members_count];
}

/* The state machine numbers instances in the order of their hellos; the address tells ours. */
struct sim_instance *sim_instance_by_id(struct sim *sim, uint32_t shard, struct instance_id id)
{
    for (uint32_t i = 1; i <= sim->instances_count; i++) {
        if (sim->instances[i].shard == shard && id.value != 0 &&
            sim->instances[i].id.value == id.value) {
            return &sim->instances[i];
        }
    }
    return NULL;
}

uint32_t sim_number_of_address(const char *address)
{
    static const char PREFIX[] = "10.0.0.";

    return strncmp(address, PREFIX, strlen(PREFIX)) == 0
               ? (uint32_t)strtoul(address + strlen(PREFIX), NULL, 10)
               : 0;
}

static void set_up(struct sim *sim)
{
    struct sim_link link = {
        .delay_min = sim->swarm.delay_min_us,
        .delay_max = sim->swarm.delay_max_us,
        .loss_permille = sim->swarm.loss_permille,
        .duplicate_permille = sim->swarm.duplicate_permille,
    };
    sim_net_init(&sim->net, sim->seed, link);
    sim->members_count = sim->swarm.members;
    sim->shards_count = sim->swarm.shards;
    for (uint32_t i = 1; i <= sim->members_count; i++) {
        struct sim_member *member = &sim->members[i];
        member->node = i;
        member->sim = sim;
        member->id = (struct member_id){.hi = 1, .lo = i};
        member->region = (i - 1) % SIM_REGIONS + 1;
        member->founder = i <= sim->swarm.founders;
        if (member->founder) {
            sim->configuration.servers[i - 1] =
                (struct raft_server){.id = member->id, .voter = true, .region = member->region};
        }
        set_up_clock(sim, i);
        member->store.delay_min_us = 200;
        member->store.delay_max_us = 2000;
        sim_store_format(&member->store,
                         (struct cluster_id){.hi = 7, .lo = sim->seed | 1},
                         member->id,
                         sim->seed * 31 + i,
                         sim->mutant == MUTANT_DISK_LIES);
    }
    sim->configuration.count = sim->swarm.founders;
    for (uint32_t i = 1; i <= sim->members_count; i++) {
        sim_member_start(sim, &sim->members[i]);
    }
    for (uint32_t i = 1; i <= sim->shards_count * sim->swarm.instances_per_shard; i++) {
        set_up_instance(sim, i);
    }
    if (sim->swarm.measured_us != 0) {
        sim_at(sim, sim->swarm.measured_us, (struct sim_item){.kind = EV_STOP});
        sim_load(sim);
    } else {
        set_up_trouble(sim);
    }
}

static void set_up_trouble(struct sim *sim)
{
    sim_clients_start(sim);
    if (sim->swarm.changes) {
        sim_after(sim, 9000 * SIM_MS, (struct sim_item){.kind = EV_OPERATOR});
    }
    sim_after(sim, 8000 * SIM_MS, (struct sim_item){.kind = EV_FAULT});
    sim_after(sim, CHECK_EVERY_US, (struct sim_item){.kind = EV_CHECK});
}

static void set_up_clock(struct sim *sim, uint32_t node)
{
    struct sim_clock *clock = &sim->clocks[node];
    uint64_t spread = sim->mutant == MUTANT_CLOCKS_6 ? 60000 : 45000;

    clock->rate_ppm = 1000000;
    clock->offset_us = prng_below(&sim->faults, UINT64_C(1000000000));
    if (sim->swarm.clock_rates || sim->mutant == MUTANT_CLOCKS_6) {
        /* Mostly the extremes: that is where a proof is tight. */
        switch (prng_below(&sim->faults, 3)) {
        case 0:
            clock->rate_ppm += spread;
            break;
        case 1:
            clock->rate_ppm -= spread;
            break;
        default:
            clock->rate_ppm += spread - prng_below(&sim->faults, 2 * spread);
            break;
        }
    }
}

static void set_up_instance(struct sim *sim, uint32_t number)
{
    struct sim_instance *instance = &sim->instances[number];
    uint32_t shard = (number - 1) / sim->swarm.instances_per_shard + 1;

    instance->number = number;
    instance->node = sim->members_count + number;
    instance->shard = shard;
    instance->region = (number - 1) % sim->swarm.instances_per_shard % SIM_REGIONS + 1;
    instance->up = true;
    CHECK(instance->node <= SIM_NODES_MAX);
    struct sim_shard *own = &sim->shards[shard];
    if (own->instances_count == 0) {
        bool async = sim->swarm.async && (shard == 1 || prng_chance(&sim->faults, 600));
        own->mode = async ? SHARD_ASYNC : SHARD_SYNC;
        own->required = prng_chance(&sim->faults, sim->swarm.two_copies_permille) ? 2 : 1;
    }
    own->instances[own->instances_count++] = number;
    sim->instances_count = number;
    set_up_clock(sim, instance->node);
    sim_car_start(sim, instance);
    sim_after(sim,
              5000 * SIM_MS + prng_below(&sim->work, 50 * SIM_MS),
              (struct sim_item){.kind = EV_CLIENT, .node = instance->node});
}

void sim_check_liveness(struct sim *sim)
{
    char missing[256];

    sim_after(sim, CHECK_EVERY_US, (struct sim_item){.kind = EV_CHECK});
    if (!sim->healing) {
        return;
    }
    if (sim_check_live(sim, missing, sizeof(missing))) {
        sim_at(sim, sim->now_us, (struct sim_item){.kind = EV_STOP});
    } else if (sim->now_us - sim->healed_us > HEAL_US_MAX) {
        sim_trace_views(sim);
        sim->stood_still = true;
        sim_fail(sim, "healed for 240 s, and still: %s", missing);
    }
}
