/* SPDX-License-Identifier: Apache-2.0 */
/* See random_command.h. */
#include "random_command.h"

#include "base/check.h"
#include "state/kv_op.h"

#include <stdio.h>
#include <string.h>

enum {
    WRONG = 60, /* permille of fields that are anything */
};

struct dice {
    struct prng *prng;
    const struct shard_view *view;
    struct cluster_info cluster;
    struct member members[MEMBERS_MAX];
    uint32_t members_count;
};

static const char *const NAMES[] = {
    "a", "b", "c", "d", "e", "east", "west", "s1", "s2", "s3", "Bad", ""};

static bool wrong(struct dice *dice)
{
    return prng_chance(dice->prng, WRONG);
}

static uint32_t below(struct dice *dice, uint32_t bound)
{
    return (uint32_t)prng_below(dice->prng, bound);
}

static void put_name(struct dice *dice, char *name)
{
    (void)snprintf(name, NAME_SIZE, "%s", NAMES[below(dice, ARRAY_LEN(NAMES))]);
}

static struct instance_id some_instance(struct dice *dice)
{
    if (wrong(dice) || dice->view->instances_count == 0) {
        return (struct instance_id){below(dice, 20)};
    }
    return dice->view->instances[below(dice, dice->view->instances_count)].id;
}

static struct incarnation incarnation_of(struct dice *dice, struct instance_id id)
{
    const struct instance *instance = shard_view_instance(dice->view, id);
    if (instance == NULL || wrong(dice)) {
        return (struct incarnation){below(dice, 5)};
    }
    return instance->incarnation;
}

static struct position some_position(struct dice *dice)
{
    const struct shard *shard = &dice->view->shard;
    uint32_t timeline = shard->floor.timeline;
    if (wrong(dice)) {
        timeline = below(dice, shard->timeline_reserved + 2);
    }
    return (struct position){timeline, shard->floor.lsn + below(dice, 50) - (wrong(dice) ? 20 : 0)};
}

static void put_pair(struct dice *dice, struct sync_pair *pair, struct instance_id but)
{
    memset(pair, 0, sizeof(*pair));
    for (uint32_t i = 0; i < dice->view->instances_count; i++) {
        struct instance_id id = dice->view->instances[i].id;
        struct sync_member member = {id, incarnation_of(dice, id)};
        bool out = (id.value == but.value || below(dice, 4) == 0) && !wrong(dice);
        if (!out && member.incarnation.value != 0 && sync_pair_add(pair, member) != ERR_OK) {
            continue;
        }
    }
    uint32_t most = pair->members_count == 0 ? 1 : pair->members_count;
    uint32_t wanted = dice->view->shard.sync_required;
    pair->required = wrong(dice) ? below(dice, 4) : wanted < most ? wanted : most;
}

static void put_reports(struct dice *dice, struct command_failover *body)
{
    for (uint32_t i = 0; i < dice->view->instances_count; i++) {
        struct instance_id id = dice->view->instances[i].id;
        bool old = id.value == dice->view->shard.primary.value;
        if ((old || below(dice, 5) == 0) && !wrong(dice)) {
            continue;
        }
        CHECK(body->reports_count < SHARD_INSTANCES_MAX);
        body->reports[body->reports_count++] = (struct final_report){
            .instance = wrong(dice) ? some_instance(dice) : id,
            .incarnation = incarnation_of(dice, id),
            .position = some_position(dice),
        };
    }
}

static void put_decision(struct dice *dice, struct command_failover *body)
{
    const struct failover *failover = &dice->view->failover;
    body->candidate = some_instance(dice);
    struct position best = {0, 0};
    for (uint32_t i = 0; i < failover->reports_count && !wrong(dice); i++) {
        if (position_compare(failover->reports[i].position, best) >= 0) {
            best = failover->reports[i].position;
            body->candidate = failover->reports[i].instance;
        }
    }
    if (failover->in_place && !wrong(dice)) {
        body->candidate = failover->old_primary;
    }
    put_pair(dice, &body->pair, body->candidate);
    for (uint32_t i = body->pair.members_count; i-- > 0 && !wrong(dice);) {
        bool found = false;
        for (uint32_t k = 0; k < failover->reports_count; k++) {
            found = found ||
                    failover->reports[k].instance.value == body->pair.members[i].instance.value;
        }
        if (!found && sync_pair_remove(&body->pair, body->pair.members[i]) == ERR_OK) {
            uint32_t most = body->pair.members_count == 0 ? 1 : body->pair.members_count;
            body->pair.required = body->pair.required < most ? body->pair.required : most;
        }
    }
}

static void put_fork(struct dice *dice, struct command_failover *body)
{
    const struct shard *shard = &dice->view->shard;
    body->fork = (struct fork){
        .epoch = shard->epoch.value,
        .timeline = wrong(dice) ? below(dice, 9) : dice->view->failover.timeline,
        .parent_timeline = shard->floor.timeline == 0 ? 1 : shard->floor.timeline,
        .fork_lsn = shard->floor.lsn + below(dice, 30) - (wrong(dice) ? 10 : 0),
    };
    body->system_identifier = wrong(dice) ? below(dice, 3) : shard->id.value + 100;
}

/* A few operations on a few keys; now and then bytes that are none. Good until the next call. */
static void put_batch(struct dice *dice, struct command_kv *body)
{
    static struct buf batch;
    buf_clear(&batch);
    for (uint32_t i = 1 + below(dice, 3); i > 0; i--) {
        const char *key = NAMES[below(dice, ARRAY_LEN(NAMES))];
        struct kv_op op = {.kind = KV_OP_PUT};
        if (below(dice, 3) == 0) {
            op.kind = KV_OP_DELETE;
            op.del.range.key = slice_of_string(key);
        } else {
            op.put.key = slice_of_string(key);
            op.put.value = slice_of_string("value");
        }
        kv_op_encode(&batch, &op);
    }
    if (wrong(dice)) {
        batch.len--;
    }
    body->batch = buf_view(&batch);
}

static void put_failover(struct dice *dice, enum command_kind kind, struct command_failover *body)
{
    const struct shard *shard = &dice->view->shard;
    body->shard = shard->id;
    body->epoch = kind == COMMAND_FAILOVER_BEGIN
                      ? epoch_next(shard->epoch, dice->cluster.cluster_epoch)
                      : shard->epoch;
    if (wrong(dice)) {
        body->epoch.value += below(dice, 5) - 2;
    }
    body->cause = (enum failover_cause)below(dice, FAILOVER_CAUSE_COUNT);
    bool first = shard->primary.value == 0 && !wrong(dice);
    body->cause = first ? CAUSE_BOOTSTRAP : body->cause;
    body->proof = (enum exclusion_proof)below(dice, EXCLUSION_PROOF_COUNT);
    body->in_place = body->cause != CAUSE_BOOTSTRAP && below(dice, 4) == 0;
    body->start_nonce = shard->primary_nonce | 1;
    body->acked_floor = below(dice, 2) == 0 ? some_position(dice) : (struct position){0, 0};
    (void)snprintf(body->evidence, sizeof(body->evidence), "dice %u", below(dice, 100));
    put_reports(dice, body);
    put_decision(dice, body);
    put_fork(dice, body);
}

/* What the shard needs to get on, mostly; else any kind. */
static enum command_kind some_kind(struct dice *dice)
{
    static const enum command_kind NEXT[FAILOVER_STEP_COUNT] = {
        [FAILOVER_NONE] = COMMAND_FAILOVER_BEGIN,
        [FAILOVER_EXCLUDE] = COMMAND_FAILOVER_EXCLUDED,
        [FAILOVER_COMPLETE] = COMMAND_FAILOVER_COMPLETED,
        [FAILOVER_DECIDE] = COMMAND_FAILOVER_DECIDED,
        [FAILOVER_PROMOTE] = COMMAND_FAILOVER_PROMOTED,
        [FAILOVER_OPEN] = COMMAND_FAILOVER_OPENED,
        [FAILOVER_DONE] = COMMAND_FAILOVER_BEGIN,
        [FAILOVER_ABORTED] = COMMAND_FAILOVER_BEGIN,
    };
    const struct shard_view *view = dice->view;
    uint32_t roll = below(dice, 100);
    if (view->shard.id.value == 0 || roll < 30) {
        return (enum command_kind)(1 + below(dice, COMMAND_KIND_COUNT - 1));
    }
    if (view->failover.step == FAILOVER_DONE && roll < 85) {
        return view->shard.sync.pairs_count == 2 ? COMMAND_SYNC_FINISH : COMMAND_SYNC_BEGIN;
    }
    return NEXT[view->failover.id == 0 ? FAILOVER_NONE : view->failover.step];
}

static void put_cluster(struct dice *dice, struct command_cluster_init *body)
{
    body->cluster.lo = 1;
    body->lease_ms = 3000;
    body->regions_count = 2;
    body->members_count = 1;
    (void)snprintf(body->regions[0].name, NAME_SIZE, "east");
    (void)snprintf(body->regions[1].name, NAME_SIZE, "west");
    (void)snprintf(body->members[0].name, NAME_SIZE, "m");
    body->members[0].id.lo = 1;
    put_name(dice, body->members[0].region);
}

static void put_shard(struct dice *dice, struct shard *spec)
{
    (void)snprintf(spec->name, NAME_SIZE, "s%u", 1 + below(dice, 3));
    spec->kind = wrong(dice) ? SHARD_REDIS : SHARD_POSTGRES;
    spec->mode = below(dice, 3) == 0 ? SHARD_ASYNC : SHARD_SYNC;
    spec->sync_required = 1 + below(dice, 2);
    if (wrong(dice)) {
        put_name(dice, spec->preferred_region);
    }
}

static void put_hello(struct dice *dice, struct hello *hello)
{
    (void)snprintf(hello->shard, NAME_SIZE, "s%u", 1 + below(dice, 3));
    put_name(dice, hello->instance);
    (void)snprintf(hello->region, NAME_SIZE, below(dice, 2) == 0 ? "east" : "west");
    (void)snprintf(hello->address, ADDRESS_SIZE, "10.0.0.%u:5432", below(dice, 25));
}

static void put_update(struct dice *dice, struct command_instance_update *body)
{
    body->shard = dice->view->shard.id;
    body->instance = some_instance(dice);
    const struct instance *known = shard_view_instance(dice->view, body->instance);
    (void)snprintf(body->address,
                   ADDRESS_SIZE,
                   "%s",
                   known == NULL || wrong(dice) ? "10.0.0.9:5432" : known->address);
    bool keep = known != NULL && known->incarnation.value != 0 && below(dice, 8) != 0;
    body->incarnation.value = keep ? known->incarnation.value : 1 + below(dice, 1000);
}

static void put_sync(struct dice *dice, enum command_kind kind, struct command_sync *body)
{
    const struct shard *shard = &dice->view->shard;
    *body = (struct command_sync){.shard = shard->id, .epoch = shard->primary_epoch};
    body->version = shard->sync.version;
    body->reason[0] = wrong(dice) ? '\0' : 'x';
    put_pair(dice, &body->pair, shard->primary);
    if (kind == COMMAND_SYNC_FINISH && shard->sync.pairs_count == 2 && !wrong(dice)) {
        body->pair = shard->sync.pairs[1];
    }
}

static void put_member(struct dice *dice, struct command *command)
{
    struct member_id id = {0, 1 + below(dice, 40)};
    const struct member *known =
        dice->members_count == 0 ? NULL : &dice->members[below(dice, dice->members_count)];
    if (command->kind == COMMAND_MEMBER_ADD) {
        struct member *member = &command->member_add.member;
        member->id = id;
        put_name(dice, member->name);
        put_name(dice, member->region);
        uint32_t port = 1 + below(dice, 8);
        (void)snprintf(member->peer_address, ADDRESS_SIZE, "127.0.0.1:1%u", port);
        (void)snprintf(member->api_address, ADDRESS_SIZE, "127.0.0.1:2%u", port);
        (void)snprintf(member->ops_address, ADDRESS_SIZE, "127.0.0.1:3%u", port);
    } else if (command->kind == COMMAND_MEMBER_CHANGE) {
        put_name(dice, command->member_change.name);
        if (known != NULL && !wrong(dice)) {
            (void)snprintf(command->member_change.name, NAME_SIZE, "%s", known->name);
        }
        command->member_change.standing = (enum member_standing)below(dice, MEMBER_STANDING_COUNT);
    } else if (command->kind == COMMAND_MEMBER_VOUCHED) {
        command->member_vouched.by = known != NULL && !wrong(dice) ? known->id : id;
        command->member_vouched.id = id;
        put_name(dice, command->member_vouched.name);
    } else if (command->kind == COMMAND_MEMBER_GONE) {
        command->member_gone.id = known != NULL && !wrong(dice) ? known->id : id;
    } else {
        command->member_level.id = known != NULL && !wrong(dice) ? known->id : id;
        command->member_level.level = below(dice, 3);
    }
}

static void put_request(struct dice *dice, struct command *command)
{
    const struct shard_view *view = dice->view;

    put_name(dice, command->failover_request.shard);
    put_name(dice, command->failover_request.instance);
    if (view->instances_count > 0 && !wrong(dice)) {
        uint32_t to = below(dice, view->instances_count);
        memcpy(command->failover_request.shard, view->shard.name, NAME_SIZE);
        memcpy(command->failover_request.instance, view->instances[to].name, NAME_SIZE);
    }
}

static void put_settings(struct dice *dice, struct command *command)
{
    if (command->kind == COMMAND_CLUSTER_SET) {
        command->cluster_set.heartbeat_ms = below(dice, 100);
        command->cluster_set.election_ms = command->cluster_set.heartbeat_ms * below(dice, 10);
        command->cluster_set.commit_regions = below(dice, 3);
        command->cluster_set.lease_ms = below(dice, 2) * below(dice, 20000);
        if (below(dice, 2) == 0) {
            put_name(dice, command->cluster_set.leader_region);
        }
    } else if (command->kind == COMMAND_CLUSTER_RECOVERED) {
        command->cluster_recovered.survivor.lo = below(dice, 5);
        command->cluster_recovered.cluster_epoch = dice->cluster.cluster_epoch + below(dice, 3);
    } else {
        command->cluster_confirm.cluster_epoch =
            dice->cluster.cluster_epoch + (below(dice, 4) == 0 ? 1 : 0);
    }
}

void random_command(struct prng *prng,
                    const struct tables *tables,
                    uint64_t term,
                    struct command *command)
{
    struct shard_view view = {0};
    struct shard_id shard = {1 + (uint32_t)prng_below(prng, 3)};
    CHECK(query_shard(tables, shard, &view) == ERR_OK || view.shard.id.value == 0);
    struct dice dice = {.prng = prng, .view = &view};
    query_cluster(tables, &dice.cluster);
    dice.members_count = query_members(tables, dice.members, MEMBERS_MAX);
    memset(command, 0, sizeof(*command));
    command->kind = some_kind(&dice);
    command->leader_term = prng_chance(prng, 10) ? term - 1 : term;
    command->wall_ms = 1000000 + prng_below(prng, 1000);
    command->request.hi = command->wall_ms << 16 | (prng_chance(prng, 10) ? 0x4000 : 0x7000);
    command->request.lo = prng_below(prng, 100000);
    switch (command_kind_body(command->kind)) {
    case COMMAND_BODY_CLUSTER_INIT:
        put_cluster(&dice, &command->cluster_init);
        break;
    case COMMAND_BODY_REGION_PUT:
        put_name(&dice, command->region_put.region.name);
        break;
    case COMMAND_BODY_SHARD_CREATE:
        put_shard(&dice, &command->shard_create.spec);
        break;
    case COMMAND_BODY_SHARD_FREEZE:
        put_name(&dice, command->shard_freeze.name);
        command->shard_freeze.frozen = below(&dice, 4) == 0;
        break;
    case COMMAND_BODY_INSTANCE_REGISTER:
        put_hello(&dice, &command->instance_register.hello);
        break;
    case COMMAND_BODY_INSTANCE_UPDATE:
        put_update(&dice, &command->instance_update);
        break;
    case COMMAND_BODY_SYNC:
        put_sync(&dice, command->kind, &command->sync);
        break;
    case COMMAND_BODY_FAILOVER:
        put_failover(&dice, command->kind, &command->failover);
        break;
    case COMMAND_BODY_KV:
        put_batch(&dice, &command->kv);
        break;
    case COMMAND_BODY_FAILOVER_REQUEST:
        put_request(&dice, command);
        break;
    case COMMAND_BODY_MEMBER_ADD:
    case COMMAND_BODY_MEMBER_CHANGE:
    case COMMAND_BODY_MEMBER_GONE:
    case COMMAND_BODY_MEMBER_LEVEL:
    case COMMAND_BODY_MEMBER_VOUCHED:
        put_member(&dice, command);
        break;
    case COMMAND_BODY_CLUSTER_SET:
    case COMMAND_BODY_CLUSTER_RECOVERED:
    case COMMAND_BODY_CLUSTER_CONFIRM:
        put_settings(&dice, command);
        break;
    case COMMAND_BODY_REFUSAL:
    case COMMAND_BODY_COUNT:
        break;
    }
}
