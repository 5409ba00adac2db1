/* SPDX-License-Identifier: Apache-2.0 */
/* Goal: the life of an instance works on real PostgreSQL: made, started as a standby, promoted to
 * the reserved timeline, cloned, followed, cut, promoted in turn, put aside and built anew. Method:
 * the driver's actions one after the other, as the keeper would ask for them. */
#include "tests/integration/pg_node.h"

#include <stdio.h>
#include <string.h>
#include <unistd.h>

static void test_a_first_instance_becomes_primary_on_the_reserved_timeline(void **state)
{
    struct pg_world *world = *state;
    struct pg_node *node = pg_world_add(world);
    char text[128];

    pg_node_bootstrap(world, node, false);

    struct keeper_facts facts = pg_node_facts(node);
    assert_int_equal(facts.fork.parent_timeline, 1);
    assert_true(facts.fork.fork_lsn > 0);
    assert_true(facts.system_identifier != 0);
    assert_int_equal(facts.position.timeline, 2);
    PGconn *conn = pg_node_connect(node);
    pg_node_sql(conn, "INSERT INTO t VALUES (1)", NULL);
    /* A start by anybody else would come up in recovery: the file is back beside the primary. */
    pg_node_sql(conn, "SELECT size FROM pg_stat_file('standby.signal')", text);
    assert_string_equal(text, "0");
    PQfinish(conn);
}

static void test_a_clone_follows_is_cut_and_promoted_and_the_old_primary_is_rebuilt(void **state)
{
    struct pg_world *world = *state;
    struct pg_node *a = pg_world_add(world);
    struct pg_node *b = pg_world_add(world);
    char text[128];

    pg_node_bootstrap(world, a, false);
    pg_node_attach(world, a, b, false, 1);
    assert_int_equal(pg_node_facts(b).conninfo_of.value, a->id.value);
    assert_string_equal(pg_node_facts(b).conninfo_address, a->address);
    PGconn *conn = pg_node_connect(a);
    pg_node_sql(conn, "INSERT INTO t VALUES (7)", NULL);
    PQfinish(conn);

    /* The standby is cut: it holds the row, its position is final. */
    struct goal cut = pg_node_goal(world, b, 2);
    cut.role = GOAL_CUT;
    cut.mode = SHARD_ASYNC;
    cut.upstream = a->id;
    memcpy(cut.upstream_address, a->address, ADDRESS_SIZE);
    pg_node_do(world, b, KEEPER_CUT, &cut, NULL);
    struct keeper_facts facts = pg_node_facts(b);
    assert_true(facts.position_final);
    assert_false(facts.receiver_running);
    assert_int_equal(facts.conninfo_of.value, 0);

    /* It is promoted to timeline 5, though 3 and 4 were never used here. */
    struct goal lead = pg_node_goal(world, b, 2);
    lead.role = GOAL_PRIMARY;
    lead.may_promote = true;
    lead.timeline = 5;
    lead.mode = SHARD_ASYNC;
    pg_node_arm(world, b, 2, PG_NODE_LEASE_MS);
    pg_node_do(world, b, KEEPER_PROMOTE, &lead, NULL);
    assert_int_equal(pg_node_facts(b).fork.timeline, 5);
    assert_int_equal(pg_node_facts(b).fork.parent_timeline, 2);
    assert_true(pg_node_facts(b).fork.fork_lsn >= facts.position.lsn);

    /* The old primary is fenced, kept aside, and comes back as a new standby. */
    pg_node_fence(world, a, 1);
    pg_node_wait_state(world, a, INSTANCE_STOPPED);
    struct goal follow = pg_node_goal(world, a, 2);
    follow.role = GOAL_STANDBY;
    follow.mode = SHARD_ASYNC;
    pg_node_do(world, a, KEEPER_REBUILD, &follow, NULL);
    assert_int_equal(pg_node_facts(a).state, INSTANCE_EMPTY);
    char path[PG_PATH_SIZE * 2];
    (void)snprintf(path,
                   sizeof(path),
                   "%s/stranded/epoch-2-%016lx/PG_VERSION",
                   a->dir,
                   (unsigned long)a->incarnation.value);
    assert_int_equal(access(path, F_OK), 0);
    a->incarnation.value += 0x100;
    pg_node_attach(world, b, a, false, 2);
    assert_int_equal(pg_node_facts(a).position.timeline, 5);
    PGconn *reader = pg_node_connect(a);
    pg_node_sql(reader, "SELECT v FROM t", text);
    assert_string_equal(text, "7");
    PQfinish(reader);
}

static void test_a_restarted_standby_follows_over_a_reserved_gap_of_timelines(void **state)
{
    struct pg_world *world = *state;
    struct pg_node *a = pg_world_add(world);
    struct pg_node *b = pg_world_add(world);
    struct pg_node *c = pg_world_add(world);

    pg_node_bootstrap(world, a, false);
    pg_node_attach(world, a, b, false, 1);
    pg_node_attach(world, a, c, false, 1);
    pg_node_fence(world, a, 1);
    struct goal cut = pg_node_goal(world, b, 2);
    cut.role = GOAL_CUT;
    cut.mode = SHARD_ASYNC;
    pg_node_do(world, b, KEEPER_CUT, &cut, NULL);
    struct goal lead = pg_node_goal(world, b, 2);
    lead.role = GOAL_PRIMARY;
    lead.timeline = 4;
    lead.mode = SHARD_ASYNC;
    lead.siblings[0].instance = c->id;
    lead.siblings_count = 1;
    pg_node_arm(world, b, 2, PG_NODE_LEASE_MS);
    pg_node_do(world, b, KEEPER_PROMOTE, &lead, NULL);
    pg_node_do(world, b, KEEPER_SLOTS, &lead, NULL);

    struct goal follow = pg_node_goal(world, c, 2);
    follow.role = GOAL_STANDBY;
    follow.mode = SHARD_ASYNC;
    pg_node_do(world, c, KEEPER_FOLLOW, &follow, b);
    pg_node_do(world, c, KEEPER_STOP, &follow, NULL);
    pg_node_wait_state(world, c, INSTANCE_STOPPED);
    pg_node_do(world, c, KEEPER_START, &follow, b);
    pg_node_wait_state(world, c, INSTANCE_STANDBY);

    PGconn *conn = pg_node_connect(b);
    pg_node_sql(conn, "INSERT INTO t VALUES (9)", NULL);
    PQfinish(conn);
    uint64_t until_ms = clock_monotonic_ms() + 10000;
    while (pg_node_facts(c).position.timeline != 4) {
        assert_true(clock_monotonic_ms() < until_ms);
        pg_world_run(world, 20);
    }
}

int main(int argc, char **argv)
{
    int code = 0;

    if (pg_node_main(argc, argv, &code)) {
        return code;
    }
    const struct CMUnitTest tests[] = {
        cmocka_unit_test_setup_teardown(
            test_a_first_instance_becomes_primary_on_the_reserved_timeline,
            pg_world_setup,
            pg_world_teardown),
        cmocka_unit_test_setup_teardown(
            test_a_clone_follows_is_cut_and_promoted_and_the_old_primary_is_rebuilt,
            pg_world_setup,
            pg_world_teardown),
        cmocka_unit_test_setup_teardown(
            test_a_restarted_standby_follows_over_a_reserved_gap_of_timelines,
            pg_world_setup,
            pg_world_teardown),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
