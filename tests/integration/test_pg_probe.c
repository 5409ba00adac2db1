/* SPDX-License-Identifier: Apache-2.0 */
/* Goal: what is reported of a database is what it is, also when it hangs, is gone, or lags. Method:
 * real instances whose processes are stopped and killed; the facts that follow. */
#include "tests/integration/pg_node.h"

#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

static struct pg_node *A;
static struct pg_node *B;

static void make_pair(struct pg_world *world)
{
    A = pg_world_add(world);
    B = pg_world_add(world);
    struct pg_node *const standbys[] = {B, NULL};
    pg_node_bootstrap(world, A, true);
    pg_node_attach(world, A, B, true, 1);
    pg_node_set_sync(world, A, 1, standbys, 1);
}

static bool a_hangs(void *ctx)
{
    (void)ctx;
    return pg_node_facts(A).state == INSTANCE_HUNG;
}

static bool a_leads(void *ctx)
{
    (void)ctx;
    return pg_node_facts(A).state == INSTANCE_PRIMARY;
}

static bool b_reaches(void *ctx)
{
    return pg_node_facts(B).primary_reach == *(enum reach *)ctx;
}

static bool b_lost_its_receiver(void *ctx)
{
    (void)ctx;
    return !pg_node_facts(B).receiver_streaming;
}

static void test_a_postmaster_that_stands_still_is_seen_though_old_sessions_answer(void **state)
{
    struct pg_world *world = *state;
    make_pair(world);
    pid_t postmaster = guard_link_status(A->guard)->pid;
    PGconn *old = pg_node_connect(A);
    char text[128];

    uint64_t begun_ms = clock_monotonic_ms();
    assert_int_equal(kill(postmaster, SIGSTOP), 0);
    pg_node_sql(old, "SELECT 42", text);
    assert_string_equal(text, "42");
    pg_world_wait(world, a_hangs, NULL);

    assert_true(clock_monotonic_ms() - begun_ms < 4000);
    assert_true(pg_node_facts(A).hung_ms >= 1000);
    assert_int_equal(kill(postmaster, SIGCONT), 0);
    pg_world_wait(world, a_leads, NULL);
    PQfinish(old);
}

static void test_the_primarys_port_is_seen_as_ok_silent_and_refused(void **state)
{
    struct pg_world *world = *state;
    enum reach awaited = REACH_OK;
    make_pair(world);
    pid_t postmaster = guard_link_status(A->guard)->pid;
    pg_world_wait(world, b_reaches, &awaited);
    assert_int_equal(pg_node_facts(B).primary_reach_of.value, A->id.value);

    assert_int_equal(kill(postmaster, SIGSTOP), 0);
    awaited = REACH_SILENT;
    pg_world_wait(world, b_reaches, &awaited);
    pg_world_run(world, 300);
    assert_true(pg_node_facts(B).primary_reach_ms >= 900); /* since the attempt began */

    uint64_t begun_ms = clock_monotonic_ms();
    pg_node_fence(world, A, 1);
    awaited = REACH_REFUSED;
    pg_world_wait(world, b_reaches, &awaited);
    pg_world_wait(world, b_lost_its_receiver, NULL);
    assert_true(clock_monotonic_ms() - begun_ms < 2000);
}

static bool acked_all(void *ctx)
{
    return pg_node_facts(A).acked.lsn >= *(uint64_t *)ctx;
}

static void test_what_is_called_acknowledged_is_held_by_the_standby(void **state)
{
    struct pg_world *world = *state;
    char text[128];
    uint64_t written_lsn = 0;
    make_pair(world);
    struct pg_node *const standbys[] = {B, NULL};
    struct goal lead = pg_node_goal(world, A, 1);
    lead.role = GOAL_PRIMARY;
    lead.sync = pg_node_pair(standbys, 1);
    engine_set_goal(A->engine, &lead);
    PGconn *conn = pg_node_connect(A);

    /* Records of every length, so that positions fall in all places of a page. */
    for (int i = 0; i < 40; i++) {
        char sql[128];
        (void)snprintf(sql,
                       sizeof(sql),
                       "SELECT pg_logical_emit_message(true, 'x', repeat('y', %d))",
                       i * 397 % 9000);
        pg_node_sql(conn, sql, NULL);
        pg_world_run(world, 20);
        assert_true(pg_node_facts(A).acked.lsn <= pg_node_facts(A).position.lsn ||
                    pg_node_facts(A).acked.lsn == 0);
    }
    pg_node_sql(conn, "SELECT pg_current_wal_flush_lsn()", text);
    assert_int_equal(position_parse_lsn(text, &written_lsn), ERR_OK);
    pg_node_sql(conn, "INSERT INTO t VALUES (1)", NULL);
    pg_world_wait(world, acked_all, &written_lsn);
    struct position acked = pg_node_facts(A).acked;
    PQfinish(conn);

    pg_node_fence(world, A, 1);
    struct goal cut = pg_node_goal(world, B, 2);
    cut.role = GOAL_CUT;
    pg_node_do(world, B, KEEPER_CUT, &cut, NULL);
    assert_true(pg_node_facts(B).position_final);
    assert_true(position_compare(pg_node_facts(B).position, acked) >= 0);
}

static void test_streaming_and_caught_up_standbys_are_named_by_incarnation(void **state)
{
    struct pg_world *world = *state;
    make_pair(world);
    pg_world_run(world, 300);

    struct keeper_facts facts = pg_node_facts(A);

    assert_int_equal(facts.streaming_count, 1);
    assert_int_equal(facts.streaming[0].instance.value, B->id.value);
    assert_int_equal(facts.streaming[0].incarnation.value, B->incarnation.value);
    assert_int_equal(facts.caught_up_count, 1);
    assert_int_equal(facts.system_identifier, pg_node_facts(B).system_identifier);
}

#define TEST(name) cmocka_unit_test_setup_teardown(name, pg_world_setup, pg_world_teardown)

int main(int argc, char **argv)
{
    int code = 0;

    if (pg_node_main(argc, argv, &code)) {
        return code;
    }
    const struct CMUnitTest tests[] = {
        TEST(test_a_postmaster_that_stands_still_is_seen_though_old_sessions_answer),
        TEST(test_the_primarys_port_is_seen_as_ok_silent_and_refused),
        TEST(test_what_is_called_acknowledged_is_held_by_the_standby),
        TEST(test_streaming_and_caught_up_standbys_are_named_by_incarnation),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
