/* SPDX-License-Identifier: Apache-2.0 */
/* See state_fixture.h. */
#include "state_fixture.h"

#include "base/check.h"

#include <stdio.h>

static const char *const NAMES[] = {"", "a", "b", "c"};
static const char *const REGIONS[] = {"east", "west", "south"};

static void start(struct fixture *fixture, enum command_kind kind)
{
    memset(&fixture->command, 0, sizeof(fixture->command));
    fixture->command.kind = kind;
    fixture->command.wall_ms = FIXTURE_WALL_MS + fixture->index;
    (void)snprintf(fixture->command.actor, sizeof(fixture->command.actor), "tester");
}

void fixture_empty(struct fixture *fixture)
{
    memset(fixture, 0, sizeof(*fixture));
    fixture->memory = tables_memory_new();
    fixture->table_ops = tables_memory_tables(fixture->memory);
    fixture->tables = &fixture->table_ops;
    fixture->term = 3;
}

static void init_cluster(struct fixture *fixture)
{
    start(fixture, COMMAND_CLUSTER_INIT);
    struct command_cluster_init *body = &fixture->command.cluster_init;
    body->cluster = (struct cluster_id){7, 7};
    (void)snprintf(body->name, sizeof(body->name), "test");
    body->lease_ms = 3000;
    body->regions_count = ARRAY_LEN(REGIONS);
    body->members_count = ARRAY_LEN(REGIONS);
    for (uint32_t i = 0; i < ARRAY_LEN(REGIONS); i++) {
        (void)snprintf(body->regions[i].name, NAME_SIZE, "%s", REGIONS[i]);
        (void)snprintf(body->members[i].name, NAME_SIZE, "m%u", i + 1);
        (void)snprintf(body->members[i].region, NAME_SIZE, "%s", REGIONS[i]);
        body->members[i].id = (struct member_id){1, i + 1};
    }
    fixture_passes(fixture);
}

static void register_instance(struct fixture *fixture, uint32_t id)
{
    start(fixture, COMMAND_INSTANCE_REGISTER);
    struct hello *hello = &fixture->command.instance_register.hello;
    (void)snprintf(hello->shard, NAME_SIZE, "orders");
    (void)snprintf(hello->instance, NAME_SIZE, "%s", NAMES[id]);
    (void)snprintf(hello->region, NAME_SIZE, "%s", REGIONS[id - 1]);
    (void)snprintf(hello->address, ADDRESS_SIZE, "10.0.0.%u:5432", id);
    fixture_passes(fixture);
    assert_int_equal(fixture->result.id, id);

    start(fixture, COMMAND_INSTANCE_UPDATE);
    struct command_instance_update *update = &fixture->command.instance_update;
    update->shard.value = 1;
    update->instance.value = id;
    (void)snprintf(update->address, ADDRESS_SIZE, "10.0.0.%u:5432", id);
    update->incarnation.value = 10 + id;
    fixture_passes(fixture);
}

void fixture_world(struct fixture *fixture, enum shard_mode mode)
{
    fixture_empty(fixture);
    init_cluster(fixture);
    start(fixture, COMMAND_SHARD_CREATE);
    struct shard *spec = &fixture->command.shard_create.spec;
    (void)snprintf(spec->name, NAME_SIZE, "orders");
    spec->kind = SHARD_POSTGRES;
    spec->mode = mode;
    spec->sync_required = 1;
    fixture_passes(fixture);
    assert_int_equal(fixture->result.id, 1);
    for (uint32_t id = A; id <= C; id++) {
        register_instance(fixture, id);
    }
}

void fixture_steady(struct fixture *fixture, enum shard_mode mode)
{
    fixture_world(fixture, mode);
    struct command_failover *body = fixture_failover(fixture, COMMAND_FAILOVER_BEGIN);
    body->epoch.value = 1;
    body->cause = CAUSE_BOOTSTRAP;
    fixture_passes(fixture);
    body = fixture_failover(fixture, COMMAND_FAILOVER_DECIDED);
    body->epoch.value = 1;
    body->candidate.value = A;
    body->pair.required = mode == SHARD_SYNC ? 1 : 0;
    fixture_passes(fixture);
    body = fixture_failover(fixture, COMMAND_FAILOVER_PROMOTED);
    body->epoch.value = 1;
    body->fork = (struct fork){.epoch = 1, .timeline = 2, .parent_timeline = 1, .fork_lsn = 100};
    body->system_identifier = 77;
    fixture_passes(fixture);
    body = fixture_failover(fixture, COMMAND_FAILOVER_OPENED);
    body->epoch.value = 1;
    fixture_passes(fixture);
    if (mode == SHARD_SYNC) {
        struct command_sync *sync = fixture_sync(fixture, COMMAND_SYNC_BEGIN);
        fixture_passes(fixture);
        uint64_t version = fixture->result.id;
        sync = fixture_sync(fixture, COMMAND_SYNC_FINISH);
        sync->version = version;
        fixture_passes(fixture);
    }
}

void fixture_free(struct fixture *fixture)
{
    tables_memory_free(fixture->memory);
    memset(fixture, 0, sizeof(*fixture));
}

enum error fixture_apply(struct fixture *fixture)
{
    struct command *command = &fixture->command;
    if (command_kind_is_order(command->kind)) {
        command->leader_term = command->leader_term == 0 ? fixture->term : command->leader_term;
    } else if (command->request.hi == 0) {
        fixture->requests++;
        command->request.hi = command->wall_ms << 16 | 0x7000;
        command->request.lo = UINT64_C(1) << 63 | fixture->requests;
    }
    struct apply_entry entry = {
        .index = ++fixture->index,
        .term = fixture->term,
        .raft_kind = 2,
        .command = command,
        .payload = slice_of_string("payload"),
    };
    apply_entry(fixture->tables, &entry, &fixture->result, &fixture->changed);
    return fixture->result.error;
}

void fixture_noop(struct fixture *fixture)
{
    struct apply_entry entry = {.index = ++fixture->index, .term = fixture->term, .raft_kind = 1};
    apply_entry(fixture->tables, &entry, &fixture->result, &fixture->changed);
}

struct command_failover *fixture_failover(struct fixture *fixture, enum command_kind kind)
{
    start(fixture, kind);
    fixture->command.failover.shard.value = 1;
    fixture->command.failover.epoch.value = 2;
    return &fixture->command.failover;
}

struct command_sync *fixture_sync(struct fixture *fixture, enum command_kind kind)
{
    start(fixture, kind);
    struct command_sync *body = &fixture->command.sync;
    body->shard.value = 1;
    body->epoch.value = 1;
    body->pair.required = 1;
    fixture_member(&body->pair, B);
    fixture_member(&body->pair, C);
    return body;
}

void fixture_member(struct sync_pair *pair, uint32_t instance)
{
    struct sync_member member = {{instance}, {10 + instance}};
    assert_int_equal(sync_pair_add(pair, member), ERR_OK);
}

void fixture_report(struct command_failover *body, uint32_t instance, struct position position)
{
    body->reports[body->reports_count++] = (struct final_report){
        .instance = {instance},
        .incarnation = {10 + instance},
        .position = position,
    };
}

struct command_failover *fixture_begin(struct fixture *fixture)
{
    struct command_failover *body = fixture_failover(fixture, COMMAND_FAILOVER_BEGIN);
    body->cause = CAUSE_INSTANCE;
    body->acked_floor = (struct position){2, 200};
    body->start_nonce = FIXTURE_NONCE;
    return body;
}

struct command_failover *fixture_excluded(struct fixture *fixture)
{
    struct shard_view view = fixture_view(fixture);
    struct command_failover *body = fixture_failover(fixture, COMMAND_FAILOVER_EXCLUDED);
    if (view.failover.in_place) {
        body->proof = PROOF_FENCE;
        (void)snprintf(body->evidence, sizeof(body->evidence), "a reports itself fenced");
    } else if (view.shard.mode == SHARD_ASYNC) {
        body->proof = PROOF_CLOCK;
    } else {
        body->proof = PROOF_QUORUM;
        fixture_report(body, B, (struct position){2, 300});
        fixture_report(body, C, (struct position){2, 250});
    }
    return body;
}

struct command_failover *fixture_completed(struct fixture *fixture)
{
    struct command_failover *body = fixture_failover(fixture, COMMAND_FAILOVER_COMPLETED);
    fixture_report(body, B, (struct position){2, 300});
    fixture_report(body, C, (struct position){2, 250});
    return body;
}

struct command_failover *fixture_decided(struct fixture *fixture)
{
    struct command_failover *body = fixture_failover(fixture, COMMAND_FAILOVER_DECIDED);
    body->candidate.value = B;
    body->pair.required = 1;
    fixture_member(&body->pair, C);
    return body;
}

struct command_failover *fixture_promoted(struct fixture *fixture)
{
    struct command_failover *body = fixture_failover(fixture, COMMAND_FAILOVER_PROMOTED);
    body->fork = (struct fork){.epoch = 2, .timeline = 3, .parent_timeline = 2, .fork_lsn = 300};
    body->system_identifier = 77;
    body->start_nonce = FIXTURE_NONCE;
    return body;
}

struct command_failover *fixture_opened(struct fixture *fixture)
{
    return fixture_failover(fixture, COMMAND_FAILOVER_OPENED);
}

void fixture_advance(struct fixture *fixture, enum command_kind last)
{
    static struct command_failover *(*const STEPS[])(struct fixture *) = {
        fixture_begin,
        fixture_excluded,
        fixture_completed,
        fixture_decided,
        fixture_promoted,
        fixture_opened,
    };
    for (uint32_t i = 0; i <= (uint32_t)last - COMMAND_FAILOVER_BEGIN; i++) {
        (void)STEPS[i](fixture);
        fixture_passes(fixture);
    }
}

struct shard_view fixture_view(struct fixture *fixture)
{
    struct shard_view view;
    assert_int_equal(query_shard(fixture->tables, (struct shard_id){1}, &view), ERR_OK);
    return view;
}

const char *fixture_apply_text(struct fixture *fixture)
{
    enum error error = fixture_apply(fixture);
    assert_true((error == ERR_OK) == (fixture->result.message[0] == '\0'));
    return fixture->result.message;
}

void fixture_refused(struct fixture *fixture, enum error error, const char *text)
{
    struct shard_view before = {0};
    enum error there = query_shard(fixture->tables, (struct shard_id){1}, &before);
    struct ledger_head head;
    query_ledger_head(fixture->tables, &head);
    enum error got = fixture_apply(fixture);
    if (got != error || strstr(fixture->result.message, text) == NULL) {
        fail_msg("wanted %s and '%s', got %s and '%s'",
                 error_name(error),
                 text,
                 error_name(got),
                 fixture->result.message);
    }
    struct shard_view after = {0};
    assert_int_equal(query_shard(fixture->tables, (struct shard_id){1}, &after), there);
    assert_memory_equal(&before, &after, sizeof(before));
    assert_int_equal(fixture->changed.value, 0);
    struct ledger_head grown;
    query_ledger_head(fixture->tables, &grown);
    assert_int_equal(grown.size, head.size + 1);
}
