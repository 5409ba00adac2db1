/* SPDX-License-Identifier: Apache-2.0 */
/* Goal: the traps that lose acknowledged writes are closed: a cut that does not cut (E2), a
 * position that is too low (E3), a promoted standby that acknowledges alone (E4), two promotions on
 * one timeline (E6), readers that hold a promotion up (E2b), a setting that is shown and not in
 * force (E16). Method: each experiment again, on real PostgreSQL, through the driver. */
#include "tests/integration/pg_node.h"

#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

static struct goal cut_goal(struct pg_world *world, struct pg_node *node, struct pg_node *from)
{
    struct goal goal = pg_node_goal(world, node, 2);

    goal.role = GOAL_CUT;
    goal.upstream = from->id;
    memcpy(goal.upstream_address, from->address, ADDRESS_SIZE);
    return goal;
}

static struct goal lead_goal(struct pg_world *world, struct pg_node *node, uint32_t timeline)
{
    struct goal goal = pg_node_goal(world, node, 2);

    goal.role = GOAL_PRIMARY;
    goal.may_promote = true;
    goal.timeline = timeline;
    return goal;
}

/* A sync pair: `a` primary, `b` its one confirmed standby. */
static void make_pair(struct pg_world *world, struct pg_node **a_out, struct pg_node **b_out)
{
    struct pg_node *a = pg_world_add(world);
    struct pg_node *b = pg_world_add(world);
    struct pg_node *const standbys[] = {b, NULL};

    pg_node_bootstrap(world, a, true);
    pg_node_attach(world, a, b, true, 1);
    pg_node_set_sync(world, a, 1, standbys, 1);
    *a_out = a;
    *b_out = b;
}

static uint64_t lsn_of(PGconn *conn, const char *sql)
{
    char text[128];
    uint64_t lsn = 0;

    pg_node_sql(conn, sql, text);
    assert_int_equal(position_parse_lsn(text, &lsn), ERR_OK);
    return lsn;
}

static void test_after_a_cut_with_replay_paused_the_primary_acknowledges_nothing(void **state)
{
    struct pg_world *world = *state;
    struct pg_node *a = NULL;
    struct pg_node *b = NULL;
    bool ok = false;
    make_pair(world, &a, &b);
    PGconn *writer = pg_node_connect(a);
    PGconn *reader = pg_node_connect(b);
    pg_node_sql(writer, "INSERT INTO t VALUES (1)", NULL);
    pg_node_sql(reader, "SELECT pg_wal_replay_pause()", NULL);
    pg_node_sql(writer, "INSERT INTO t VALUES (2)", NULL);
    uint64_t acked_lsn = lsn_of(writer, "SELECT pg_current_wal_insert_lsn()");

    struct goal goal = cut_goal(world, b, a);
    pg_node_do(world, b, KEEPER_CUT, &goal, NULL);

    pg_node_send(writer, "INSERT INTO t VALUES (3)");
    assert_false(pg_node_ended(world, writer, 1500, &ok));
    assert_false(pg_node_facts(b).receiver_running);
    /* And what was acknowledged before is in the position that it reports. */
    if (!pg_node_facts(b).position_final) {
        pg_node_do(world, b, KEEPER_FINAL_POSITION, &goal, NULL);
    }
    assert_true(pg_node_facts(b).position.lsn >= acked_lsn);
    PQfinish(reader);
    PQfinish(writer);
}

static void test_a_standby_restarted_in_a_failover_reports_all_it_holds(void **state)
{
    struct pg_world *world = *state;
    struct pg_node *a = NULL;
    struct pg_node *b = NULL;
    make_pair(world, &a, &b);
    PGconn *writer = pg_node_connect(a);
    PGconn *reader = pg_node_connect(b);
    pg_node_sql(reader, "SELECT pg_wal_replay_pause()", NULL);
    pg_node_sql(writer, "INSERT INTO t SELECT generate_series(1, 200000)", NULL);
    uint64_t acked_lsn = lsn_of(writer, "SELECT pg_current_wal_flush_lsn()");
    PQfinish(reader);
    PQfinish(writer);
    struct goal goal = cut_goal(world, b, a);

    assert_int_equal(kill(guard_link_status(b->guard)->pid, SIGKILL), 0);
    pg_node_wait_state(world, b, INSTANCE_STOPPED);
    pg_node_do(world, b, KEEPER_START, &goal, NULL);
    pg_node_wait_state(world, b, INSTANCE_STANDBY);

    assert_false(pg_node_facts(b).position_final);
    pg_node_do(world, b, KEEPER_FINAL_POSITION, &goal, NULL);
    assert_true(pg_node_facts(b).position_final);
    assert_true(pg_node_facts(b).position.lsn >= acked_lsn);
}

static void test_a_promoted_standby_never_acknowledges_with_no_standby(void **state)
{
    struct pg_world *world = *state;
    struct pg_node *a = NULL;
    struct pg_node *b = NULL;
    bool ok = false;
    char text[128];
    make_pair(world, &a, &b);
    PGconn *reader = pg_node_connect(b);
    pg_node_sql(
        reader, "SELECT pid FROM pg_stat_activity WHERE backend_type = 'checkpointer'", text);
    PQfinish(reader);
    pid_t checkpointer = (pid_t)strtol(text, NULL, 10);
    assert_true(checkpointer > 1);
    struct goal cut = cut_goal(world, b, a);
    pg_node_do(world, b, KEEPER_CUT, &cut, NULL);

    /* The checkpointer is the process that tells the others that there are sync standbys. */
    assert_int_equal(kill(checkpointer, SIGSTOP), 0);
    struct goal lead = lead_goal(world, b, 3);
    pg_node_arm(world, b, 2, PG_NODE_LEASE_MS);
    pg_node_do(world, b, KEEPER_PROMOTE, &lead, NULL);
    PGconn *writer = pg_node_connect(b);
    pg_node_send(writer, "INSERT INTO t VALUES (1)");
    assert_false(pg_node_ended(world, writer, 1500, &ok));
    assert_int_equal(kill(checkpointer, SIGCONT), 0);

    /* The canary is seen to wait: the setting is in force, and this may be opened. */
    pg_node_do(world, b, KEEPER_CANARY, &lead, NULL);
    assert_int_equal(pg_node_facts(b).canary_epoch.value, 2);
    assert_false(pg_node_ended(world, writer, 100, &ok));
    PQfinish(writer);
}

static void test_a_canary_that_no_standby_confirmed_does_not_open(void **state)
{
    struct pg_world *world = *state;
    struct pg_node *node = pg_world_add(world);

    pg_node_bootstrap(world, node, false); /* no names: every commit returns at once */
    struct goal goal = pg_node_goal(world, node, 1);
    goal.role = GOAL_PRIMARY;
    pg_node_begin(world, node, KEEPER_CANARY, &goal, NULL);

    assert_int_equal(pg_node_end(world, node), ERR_PRECONDITION);
    assert_int_equal(pg_node_facts(node).canary_epoch.value, 0);
}

static void test_two_promotions_from_the_same_place_take_their_own_timelines(void **state)
{
    struct pg_world *world = *state;
    struct pg_node *a = pg_world_add(world);
    struct pg_node *b = pg_world_add(world);
    struct pg_node *c = pg_world_add(world);
    pg_node_bootstrap(world, a, false);
    pg_node_attach(world, a, b, false, 1);
    pg_node_attach(world, a, c, false, 1);
    pg_node_fence(world, a, 1);
    struct goal cut_b = cut_goal(world, b, a);
    struct goal cut_c = cut_goal(world, c, a);
    pg_node_do(world, b, KEEPER_CUT, &cut_b, NULL);
    pg_node_do(world, c, KEEPER_CUT, &cut_c, NULL);

    struct goal lead_b = lead_goal(world, b, 3);
    pg_node_arm(world, b, 2, PG_NODE_LEASE_MS);
    pg_node_do(world, b, KEEPER_PROMOTE, &lead_b, NULL);
    pg_node_fence(world, b, 2);
    struct goal lead_c = lead_goal(world, c, 4);
    lead_c.epoch.value = 3;
    pg_node_arm(world, c, 3, PG_NODE_LEASE_MS);
    pg_node_do(world, c, KEEPER_PROMOTE, &lead_c, NULL);

    assert_int_equal(pg_node_facts(c).fork.timeline, 4);
    assert_int_equal(pg_node_facts(c).fork.parent_timeline, 2);

    /* The crashed one starts as a standby on its own timeline, and is seen to have left. */
    struct goal follow = pg_node_goal(world, b, 3);
    follow.role = GOAL_STANDBY;
    pg_node_do(world, b, KEEPER_START, &follow, c);
    pg_node_wait_state(world, b, INSTANCE_STANDBY);
    assert_int_equal(pg_node_facts(b).position.timeline, 3);
    struct fork fork = pg_node_facts(c).fork;
    assert_false(position_can_follow(pg_node_facts(b).position, &fork));
}

static void test_open_readers_do_not_hold_a_promotion_up(void **state)
{
    struct pg_world *world = *state;
    struct pg_node *a = NULL;
    struct pg_node *b = NULL;
    make_pair(world, &a, &b);
    PGconn *writer = pg_node_connect(a);
    PGconn *reader = pg_node_connect(b);
    pg_node_sql(writer, "INSERT INTO t SELECT generate_series(1, 1000)", NULL);
    pg_node_sql(reader, "BEGIN ISOLATION LEVEL REPEATABLE READ", NULL);
    pg_node_sql(reader, "SELECT count(*) FROM t", NULL);
    /* Replay of these waits for the reader. */
    pg_node_sql(writer, "DELETE FROM t", NULL);
    pg_node_sql(writer, "VACUUM (TRUNCATE) t", NULL);
    PQfinish(writer);
    struct goal cut = cut_goal(world, b, a);
    struct goal lead = lead_goal(world, b, 3);

    uint64_t begun_ms = clock_monotonic_ms();
    pg_node_do(world, b, KEEPER_CUT, &cut, NULL);
    pg_node_arm(world, b, 2, PG_NODE_LEASE_MS);
    pg_node_do(world, b, KEEPER_PROMOTE, &lead, NULL);

    assert_true(clock_monotonic_ms() - begun_ms < 5000);
    assert_int_equal(pg_node_facts(b).state, INSTANCE_PRIMARY);
    PQfinish(reader);
}

static void test_a_removed_standby_is_out_only_when_its_walsender_says_so(void **state)
{
    struct pg_world *world = *state;
    struct pg_node *a = pg_world_add(world);
    struct pg_node *b = pg_world_add(world);
    struct pg_node *c = pg_world_add(world);
    struct pg_node *const both[] = {b, c, NULL};
    struct pg_node *const one[] = {b, NULL};
    char text[128];
    pg_node_bootstrap(world, a, true);
    pg_node_attach(world, a, b, true, 1);
    pg_node_attach(world, a, c, true, 1);
    pg_node_set_sync(world, a, 1, both, 1);
    PGconn *conn = pg_node_connect(a);
    char sql[256];
    (void)snprintf(
        sql,
        sizeof(sql),
        "SELECT pid FROM pg_stat_replication WHERE application_name LIKE 'indaba_1_%u_%%'",
        c->id.value);
    pg_node_sql(conn, sql, text);
    pid_t walsender = (pid_t)strtol(text, NULL, 10);
    assert_true(walsender > 1);

    /* The walsender of the removed one does not run: it cannot take the new setting. */
    assert_int_equal(kill(walsender, SIGSTOP), 0);
    struct goal goal = pg_node_goal(world, a, 1);
    goal.role = GOAL_PRIMARY;
    goal.sync = pg_node_pair(one, 1);
    goal.sync_version = goal.index;
    pg_node_do(world, a, KEEPER_SET_SYNC, &goal, NULL);
    pg_node_begin(world, a, KEEPER_CONFIRM_SYNC, &goal, NULL);
    assert_int_equal(pg_node_end(world, a), ERR_UNAVAILABLE);
    assert_int_not_equal(pg_node_facts(a).sync_confirmed_version, goal.sync_version);

    assert_int_equal(kill(walsender, SIGCONT), 0);
    pg_node_do(world, a, KEEPER_CONFIRM_SYNC, &goal, NULL);
    assert_int_equal(pg_node_facts(a).sync_confirmed_version, goal.sync_version);
    PQfinish(conn);
}

static void test_alter_system_cannot_take_the_names_away(void **state)
{
    struct pg_world *world = *state;
    struct pg_node *a = NULL;
    struct pg_node *b = NULL;
    char text[128];
    make_pair(world, &a, &b);
    PGconn *conn = pg_node_connect(a);
    pg_node_sql(conn, "ALTER SYSTEM SET synchronous_standby_names = 'elsewhere'", NULL);
    pg_node_sql(conn, "ALTER SYSTEM SET work_mem = '5MB'", NULL);
    struct pg_node *const standbys[] = {b, NULL};

    pg_node_set_sync(world, a, 1, standbys, 1);

    pg_node_sql(conn, "SELECT pg_read_file('postgresql.auto.conf')", text);
    assert_null(strstr(text, "synchronous_standby_names"));
    pg_node_sql(conn, "SHOW synchronous_standby_names", text);
    assert_non_null(strstr(text, "ANY 1 (\"indaba_1_2_"));
    PQfinish(conn);
}

#define TEST(name) cmocka_unit_test_setup_teardown(name, pg_world_setup, pg_world_teardown)

int main(int argc, char **argv)
{
    int code = 0;

    if (pg_node_main(argc, argv, &code)) {
        return code;
    }
    const struct CMUnitTest tests[] = {
        TEST(test_after_a_cut_with_replay_paused_the_primary_acknowledges_nothing),
        TEST(test_a_standby_restarted_in_a_failover_reports_all_it_holds),
        TEST(test_a_promoted_standby_never_acknowledges_with_no_standby),
        TEST(test_a_canary_that_no_standby_confirmed_does_not_open),
        TEST(test_two_promotions_from_the_same_place_take_their_own_timelines),
        TEST(test_open_readers_do_not_hold_a_promotion_up),
        TEST(test_a_removed_standby_is_out_only_when_its_walsender_says_so),
        TEST(test_alter_system_cannot_take_the_names_away),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
