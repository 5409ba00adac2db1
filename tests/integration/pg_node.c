/* SPDX-License-Identifier: Apache-2.0 */
/* See pg_node.h. */
#include "tests/integration/pg_node.h"

#include "base/check.h"
#include "base/log.h"
#include "base/mem.h"
#include "cmd/guardian_main.h"
#include "tests/support/support_port.h"
#include "tests/support/support_tmpdir.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>

static void on_change(void *ctx);
static void on_done(const struct driver_result *result, void *ctx);
static void on_exit_done(enum error error, const struct guard_status *status, void *ctx);
static void set_flag(void *ctx);
static bool is_set(void *ctx);
static void on_tick(uv_timer_t *timer);
static void on_time_over(uv_timer_t *timer);

bool pg_node_main(int argc, char **argv, int *code_out)
{
    if (argc > 1 && strcmp(argv[1], "guardian") == 0) {
        *code_out = guardian_main(argc - 1, argv + 1);
        return true;
    }
    return false;
}

int pg_world_setup(void **state)
{
    struct pg_world *world = mem_new(sizeof(*world));

    world->dir = support_tmpdir("pg");
    if (chmod(world->dir, 0755) != 0 || uv_loop_init(&world->loop) != 0 ||
        uv_timer_init(&world->loop, &world->tick) != 0) {
        return -1;
    }
    if (getenv("VERBOSE") == NULL) {
        log_set_level(LOG_ERROR);
    }
    *state = world;
    return 0;
}

int pg_world_teardown(void **state)
{
    struct pg_world *world = *state;

    for (uint32_t i = 0; i < world->nodes_count; i++) {
        struct pg_node *node = &world->nodes[i];
        bool flag = false;
        if (node->engine == NULL) {
            continue;
        }
        if (guard_link_exit(node->guard, on_exit_done, &flag) == ERR_OK) {
            pg_world_wait(world, is_set, &flag);
        }
        flag = false;
        engine_free(node->engine, set_flag, &flag);
        pg_world_wait(world, is_set, &flag);
    }
    uv_close((uv_handle_t *)&world->tick, NULL);
    while (uv_run(&world->loop, UV_RUN_NOWAIT) != 0) {
    }
    (void)uv_loop_close(&world->loop);
    mem_free(world);
    return 0;
}

struct pg_node *pg_world_add(struct pg_world *world)
{
    struct pg_config config = {.replication_password = "not-secret"};
    struct reason reason = {0};

    assert_true(world->nodes_count < PG_NODES_MAX);
    struct pg_node *node = &world->nodes[world->nodes_count++];
    node->id.value = world->nodes_count;
    node->incarnation.value = 0x1000 + world->nodes_count;
    node->port = support_free_port();
    (void)snprintf(node->address, sizeof(node->address), "127.0.0.1:%u", node->port);
    (void)snprintf(node->dir, sizeof(node->dir), "%s/n%u", world->dir, node->id.value);
    (void)snprintf(config.dir, sizeof(config.dir), "%s", node->dir);
    (void)snprintf(config.listen_addresses, sizeof(config.listen_addresses), "127.0.0.1");
    (void)snprintf(config.hba, sizeof(config.hba), "host all all 127.0.0.1/32 trust\n");
    (void)snprintf(config.settings, sizeof(config.settings), "max_wal_size = '256MB'\n");
    (void)snprintf(config.bootstrap_sql, sizeof(config.bootstrap_sql), "CREATE TABLE t (v int);\n");
    config.port = node->port;
    config.probe_ms = 50;
    struct driver *driver = NULL;
    if (pg_driver_new(&config, &reason, &driver) != ERR_OK) {
        fail_msg("%s", reason.text);
    }
    struct engine_options options = {
        .loop = &world->loop,
        .driver = driver,
        .place = pg_driver_place(driver),
        .probe_ms = pg_driver_probe_ms(driver),
        .on_change = on_change,
        .ctx = world,
    };
    if (engine_new(&options, &reason, &node->engine) != ERR_OK) {
        fail_msg("%s", reason.text);
    }
    node->guard = engine_guard(node->engine);
    pg_node_wait_state(world, node, INSTANCE_EMPTY);
    return node;
}

void pg_world_wait(struct pg_world *world, bool (*condition)(void *ctx), void *ctx)
{
    uint64_t until_ms = clock_monotonic_ms() + PG_NODE_WAIT_MS;

    (void)uv_timer_start(&world->tick, on_tick, 5, 5);
    while (!condition(ctx)) {
        if (clock_monotonic_ms() >= until_ms) {
            fail_msg("what was waited for did not come within %d ms", PG_NODE_WAIT_MS);
        }
        (void)uv_run(&world->loop, UV_RUN_ONCE);
    }
    (void)uv_timer_stop(&world->tick);
}

void pg_world_run(struct pg_world *world, uint64_t ms)
{
    bool flag = false;

    world->tick.data = &flag;
    (void)uv_timer_start(&world->tick, on_time_over, ms, 0);
    while (!flag) {
        (void)uv_run(&world->loop, UV_RUN_ONCE);
    }
}

struct goal pg_node_goal(struct pg_world *world, const struct pg_node *node, uint64_t epoch)
{
    return (struct goal){
        .shard = {1},
        .instance = node->id,
        .epoch = {epoch},
        .index = ++world->index,
        .mode = SHARD_SYNC,
    };
}

void pg_node_begin(struct pg_world *world,
                   struct pg_node *node,
                   enum keeper_action_kind kind,
                   const struct goal *goal,
                   const struct pg_node *upstream)
{
    struct driver_request request = {.kind = kind, .goal = *goal, .incarnation = node->incarnation};

    (void)world;
    if (upstream != NULL) {
        request.upstream = upstream->id;
        memcpy(request.upstream_address, upstream->address, ADDRESS_SIZE);
    }
    engine_set_goal(node->engine, goal);
    node->done = false;
    assert_int_equal(engine_run(node->engine, &request, on_done, node), ERR_OK);
}

enum error pg_node_end(struct pg_world *world, struct pg_node *node)
{
    pg_world_wait(world, is_set, &node->done);
    return node->result.error;
}

void pg_node_do(struct pg_world *world,
                struct pg_node *node,
                enum keeper_action_kind kind,
                const struct goal *goal,
                const struct pg_node *upstream)
{
    pg_node_begin(world, node, kind, goal, upstream);
    if (pg_node_end(world, node) != ERR_OK) {
        fail_msg("%s failed: %s: %s",
                 keeper_action_name(kind),
                 error_name(node->result.error),
                 node->message);
    }
}

void pg_node_fence(struct pg_world *world, struct pg_node *node, uint64_t epoch)
{
    struct driver_request request = {.kind = KEEPER_FENCE, .fence_epoch = {epoch}};

    node->done = false;
    assert_int_equal(engine_run(node->engine, &request, on_done, node), ERR_OK);
    assert_int_equal(pg_node_end(world, node), ERR_OK);
}

struct awaited {
    struct pg_node *node;
    enum instance_state state;
};

static bool has_state(void *ctx)
{
    const struct awaited *awaited = ctx;

    return pg_node_facts(awaited->node).state == awaited->state;
}

void pg_node_wait_state(struct pg_world *world, struct pg_node *node, enum instance_state state)
{
    struct awaited awaited = {node, state};

    pg_world_wait(world, has_state, &awaited);
}

struct keeper_facts pg_node_facts(const struct pg_node *node)
{
    struct keeper_facts facts;

    engine_facts(node->engine, &facts);
    return facts;
}

struct arming {
    struct pg_node *node;
    uint64_t epoch;
};

static bool is_armed(void *ctx)
{
    const struct arming *arming = ctx;

    return guard_link_status(arming->node->guard)->epoch.value >= arming->epoch;
}

void pg_node_arm(struct pg_world *world, struct pg_node *node, uint64_t epoch, uint64_t ms)
{
    uint64_t deadline_ns = clock_boottime_ns() + ms * UINT64_C(1000000);
    struct arming arming = {node, epoch};

    assert_int_equal(guard_link_arm(node->guard, (struct epoch){epoch}, deadline_ns), ERR_OK);
    pg_world_wait(world, is_armed, &arming);
}

void pg_node_bootstrap(struct pg_world *world, struct pg_node *node, bool sync)
{
    struct goal goal = pg_node_goal(world, node, 1);

    goal.role = GOAL_PRIMARY;
    goal.bootstrap = true;
    goal.may_promote = true;
    goal.timeline = 2;
    goal.mode = sync ? SHARD_SYNC : SHARD_ASYNC;
    pg_node_do(world, node, KEEPER_INIT, &goal, NULL);
    assert_int_equal(pg_node_facts(node).state, INSTANCE_STOPPED);
    pg_node_do(world, node, KEEPER_START, &goal, NULL);
    pg_node_wait_state(world, node, INSTANCE_STANDBY);
    pg_node_arm(world, node, 1, PG_NODE_LEASE_MS);
    pg_node_do(world, node, KEEPER_PROMOTE, &goal, NULL);
    assert_int_equal(pg_node_facts(node).state, INSTANCE_PRIMARY);
    assert_int_equal(pg_node_facts(node).fork.timeline, 2);
}

static bool streams(void *ctx)
{
    return pg_node_facts(ctx).receiver_streaming;
}

void pg_node_attach(struct pg_world *world,
                    struct pg_node *primary,
                    struct pg_node *standby,
                    bool sync,
                    uint64_t epoch)
{
    struct goal leads = pg_node_goal(world, primary, epoch);
    struct goal follows = pg_node_goal(world, standby, epoch);

    leads.role = GOAL_PRIMARY;
    for (uint32_t i = 0; i < world->nodes_count; i++) {
        if (&world->nodes[i] != primary) {
            leads.siblings[leads.siblings_count++].instance = world->nodes[i].id;
        }
    }
    follows.role = GOAL_STANDBY;
    follows.upstream = primary->id;
    memcpy(follows.upstream_address, primary->address, ADDRESS_SIZE);
    leads.mode = follows.mode = sync ? SHARD_SYNC : SHARD_ASYNC;
    pg_node_do(world, primary, KEEPER_SLOTS, &leads, NULL);
    pg_node_do(world, standby, KEEPER_CLONE, &follows, primary);
    pg_node_do(world, standby, KEEPER_START, &follows, primary);
    pg_node_wait_state(world, standby, INSTANCE_STANDBY);
    pg_node_do(world, standby, KEEPER_FOLLOW, &follows, primary);
    pg_world_wait(world, streams, standby);
}

struct sync_pair pg_node_pair(struct pg_node *const *standbys, uint32_t required)
{
    struct sync_pair pair = {.required = required};

    for (uint32_t i = 0; standbys[i] != NULL; i++) {
        struct sync_member member = {standbys[i]->id, standbys[i]->incarnation};
        assert_int_equal(sync_pair_add(&pair, member), ERR_OK);
    }
    return pair;
}

void pg_node_set_sync(struct pg_world *world,
                      struct pg_node *primary,
                      uint64_t epoch,
                      struct pg_node *const *standbys,
                      uint32_t required)
{
    struct goal goal = pg_node_goal(world, primary, epoch);

    goal.role = GOAL_PRIMARY;
    goal.sync = pg_node_pair(standbys, required);
    goal.sync_version = goal.index;
    pg_node_do(world, primary, KEEPER_SET_SYNC, &goal, NULL);
    pg_node_do(world, primary, KEEPER_CONFIRM_SYNC, &goal, NULL);
    assert_int_equal(pg_node_facts(primary).sync_confirmed_version, goal.sync_version);
}

static void on_change(void *ctx)
{
    (void)ctx;
}

static void on_done(const struct driver_result *result, void *ctx)
{
    struct pg_node *node = ctx;

    node->result = *result;
    (void)snprintf(node->message, sizeof(node->message), "%s", result->message);
    node->done = true;
}

static void on_exit_done(enum error error, const struct guard_status *status, void *ctx)
{
    (void)error;
    (void)status;
    *(bool *)ctx = true;
}

static void set_flag(void *ctx)
{
    *(bool *)ctx = true;
}

static bool is_set(void *ctx)
{
    return *(bool *)ctx;
}

static void on_tick(uv_timer_t *timer)
{
    (void)timer; /* only wakes the loop */
}

static void on_time_over(uv_timer_t *timer)
{
    *(bool *)timer->data = true;
}
