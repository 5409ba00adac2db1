/* SPDX-License-Identifier: Apache-2.0 */
/* Any sequence of log entries applied to a cluster with a shard and its instances: no payload,
 * whether it decodes or not, may end a member, since it would end every one of them, and again
 * after each restart. A second state that gets the same entries ends with the same hash.
 *
 * The input steers: one byte says what comes next, then its fields are drawn from small ranges, so
 * that orders meet each other; everything passes through the wire's encoding, as it would. */
#include "base/check.h"
#include "base/mem.h"
#include "state/apply.h"
#include "state/tables_memory.h"
#include "wire/wire_command.h"

#include <stdio.h>
#include <string.h>

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

enum {
    STEPS_MAX = 64,
    RAFT_KIND_COMMAND = 2,
    TERM = 1,
    INSTANCES = 3
};

struct world {
    const struct tables *tables;
    uint64_t index;
    struct reader input;
};

static void apply_payload(struct world *world, struct slice payload)
{
    struct command *command = mem_new(sizeof(*command));
    enum error error = wire_command_decode(payload, command);
    struct buf replies = {0};
    /* A newer version's entry stops a member on purpose; here it is one that cannot be read. */
    const struct apply_entry entry = {
        .index = ++world->index,
        .term = TERM,
        .raft_kind = RAFT_KIND_COMMAND,
        .undecodable = error != ERR_OK,
        .command = error == ERR_OK ? command : NULL,
        .payload = payload,
        .replies = &replies,
    };
    struct command_result *result = mem_new(sizeof(*result));
    struct shard_id changed;
    apply_entry(world->tables, &entry, result, &changed);
    mem_free(result);
    buf_deinit(&replies);
    mem_free(command);
}

static void apply_command(struct world *world, struct command *command)
{
    struct buf bytes = {0};
    command->leader_term = command_kind_is_order(command->kind) ? TERM : 0;
    (void)snprintf(command->actor, sizeof(command->actor), "spiffe://t/operator/fuzz");
    if (!command_kind_is_order(command->kind)) {
        command->request = (struct request_id){.hi = 1, .lo = world->index + 1};
    }
    wire_command_encode(command, &bytes);
    apply_payload(world, buf_view(&bytes));
    buf_deinit(&bytes);
}

static uint64_t draw(struct world *world, uint64_t below)
{
    return world->input.offset < world->input.len ? reader_u8(&world->input) % below : 0;
}

/* What is left, at most 255 bytes of it. */
static struct slice draw_bytes(struct world *world)
{
    size_t left = world->input.len - world->input.offset;
    size_t len = (size_t)draw(world, 256);
    left -= left > 0 ? 1 : 0;
    len = len < left ? len : left;
    struct slice bytes = slice_of(world->input.data + world->input.offset, len);
    world->input.offset += len;
    return bytes;
}

static struct position draw_position(struct world *world)
{
    return (struct position){.timeline = (uint32_t)draw(world, 4), .lsn = draw(world, 8) << 24};
}

static void draw_pair(struct world *world, struct sync_pair *pair)
{
    pair->members_count = (uint32_t)draw(world, INSTANCES + 1);
    for (uint32_t i = 0; i < pair->members_count; i++) {
        pair->members[i].instance.value = i + 1;
    }
    pair->required = (uint32_t)draw(world, 3);
}

static void make_cluster(struct world *world)
{
    struct command *command = mem_new(sizeof(*command));
    command->kind = COMMAND_CLUSTER_INIT;
    struct command_cluster_init *init = &command->cluster_init;
    init->cluster = (struct cluster_id){.hi = 1, .lo = 2};
    (void)snprintf(init->name, sizeof(init->name), "c");
    init->regions_count = 2;
    init->members_count = 1;
    init->lease_ms = 3000;
    for (uint32_t i = 0; i < 2; i++) {
        (void)snprintf(init->regions[i].name, sizeof(init->regions[i].name), "r%u", i);
        init->regions[i].state = REGION_ACTIVE;
        init->regions[i].rank = i;
    }
    init->members[0].id = (struct member_id){.hi = 1, .lo = 1};
    (void)snprintf(init->members[0].name, sizeof(init->members[0].name), "n1");
    (void)snprintf(init->members[0].region, sizeof(init->members[0].region), "r0");
    apply_command(world, command);
    mem_free(command);
}

static void create_shard(struct world *world, uint64_t number, uint64_t mode)
{
    struct command *command = mem_new(sizeof(*command));
    command->kind = COMMAND_SHARD_CREATE;
    struct shard *spec = &command->shard_create.spec;
    (void)snprintf(spec->name, sizeof(spec->name), "s%u", (unsigned)number);
    spec->kind = SHARD_POSTGRES;
    spec->mode = mode == 0 ? SHARD_SYNC : SHARD_ASYNC;
    spec->rto_ms = 30000;
    spec->sync_required = mode == 0 ? 1 : 0;
    apply_command(world, command);
    mem_free(command);
}

static void register_instance(struct world *world, uint64_t shard, uint64_t number)
{
    struct command *command = mem_new(sizeof(*command));
    command->kind = COMMAND_INSTANCE_REGISTER;
    struct hello *hello = &command->instance_register.hello;
    hello->cluster = (struct cluster_id){.hi = 1, .lo = 2};
    (void)snprintf(hello->shard, sizeof(hello->shard), "s%u", (unsigned)shard);
    (void)snprintf(hello->instance, sizeof(hello->instance), "i%u", (unsigned)number);
    (void)snprintf(hello->region, sizeof(hello->region), "r%u", (unsigned)(number % 2));
    (void)snprintf(hello->address, sizeof(hello->address), "10.0.0.%u:5432", (unsigned)number);
    apply_command(world, command);
    mem_free(command);
}

static void update_instance(struct world *world)
{
    struct command *command = mem_new(sizeof(*command));
    command->kind = COMMAND_INSTANCE_UPDATE;
    struct command_instance_update *update = &command->instance_update;
    update->shard.value = (uint32_t)draw(world, 3);
    update->instance.value = (uint32_t)draw(world, INSTANCES + 1);
    update->incarnation.value = draw(world, 4);
    (void)snprintf(
        update->address, sizeof(update->address), "10.0.1.%u:5432", update->instance.value);
    apply_command(world, command);
    mem_free(command);
}

static void change_sync(struct world *world)
{
    struct command *command = mem_new(sizeof(*command));
    command->kind = draw(world, 2) == 0 ? COMMAND_SYNC_BEGIN : COMMAND_SYNC_FINISH;
    command->sync.shard.value = (uint32_t)draw(world, 3);
    command->sync.epoch.value = draw(world, 6);
    command->sync.version = draw(world, 6);
    draw_pair(world, &command->sync.pair);
    apply_command(world, command);
    mem_free(command);
}

static void fail_over(struct world *world)
{
    static const enum command_kind kinds[] = {
        COMMAND_FAILOVER_BEGIN,
        COMMAND_FAILOVER_EXCLUDED,
        COMMAND_FAILOVER_COMPLETED,
        COMMAND_FAILOVER_DECIDED,
        COMMAND_FAILOVER_PROMOTED,
        COMMAND_FAILOVER_OPENED,
    };
    struct command *command = mem_new(sizeof(*command));
    command->kind = kinds[draw(world, sizeof(kinds) / sizeof(kinds[0]))];
    struct command_failover *order = &command->failover;
    order->shard.value = (uint32_t)draw(world, 3);
    order->epoch.value = draw(world, 6);
    order->cause = (enum failover_cause)draw(world, FAILOVER_CAUSE_COUNT);
    order->proof = (enum exclusion_proof)draw(world, EXCLUSION_PROOF_COUNT);
    order->in_place = draw(world, 2) == 1;
    order->candidate.value = (uint32_t)draw(world, INSTANCES + 1);
    order->acked_floor = draw_position(world);
    order->reports_count = (uint32_t)draw(world, INSTANCES + 1);
    for (uint32_t i = 0; i < order->reports_count; i++) {
        order->reports[i].instance.value = i + 1;
        order->reports[i].incarnation.value = draw(world, 4);
        order->reports[i].position = draw_position(world);
    }
    draw_pair(world, &order->pair);
    order->fork.epoch = order->epoch.value;
    order->fork.timeline = (uint32_t)draw(world, 6);
    order->fork.parent_timeline = (uint32_t)draw(world, 6);
    order->fork.fork_lsn = draw(world, 8) << 24;
    order->system_identifier = draw(world, 3);
    apply_command(world, command);
    mem_free(command);
}

static void write_keys(struct world *world)
{
    struct command *command = mem_new(sizeof(*command));
    command->kind = COMMAND_KV;
    command->kv.batch = draw_bytes(world);
    apply_command(world, command);
    mem_free(command);
}

static void step(struct world *world)
{
    switch (draw(world, 8)) {
    case 0:
        apply_payload(world, draw_bytes(world));
        break;
    case 1:
        create_shard(world, draw(world, 3), draw(world, 2));
        break;
    case 2:
        register_instance(world, draw(world, 3), draw(world, 4));
        break;
    case 3:
        update_instance(world);
        break;
    case 4:
        change_sync(world);
        break;
    case 5:
    case 6:
        fail_over(world);
        break;
    default:
        write_keys(world);
        break;
    }
}

static struct apply_position run(const uint8_t *data, size_t size)
{
    struct tables_memory *memory = tables_memory_new();
    const struct tables tables = tables_memory_tables(memory);
    struct world world = {.tables = &tables, .input = reader_of(slice_of(data, size))};
    make_cluster(&world);
    create_shard(&world, 0, 0);
    for (uint64_t i = 1; i <= INSTANCES; i++) {
        register_instance(&world, 0, i);
    }
    for (int i = 0; i < STEPS_MAX && world.input.offset < world.input.len; i++) {
        step(&world);
    }
    struct apply_position position;
    apply_position(&tables, &position);
    CHECK(position.index == world.index);
    tables_memory_free(memory);
    return position;
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    struct apply_position first = run(data, size);
    struct apply_position second = run(data, size);
    CHECK(first.index == second.index && first.state_hash == second.state_hash);
    return 0;
}
