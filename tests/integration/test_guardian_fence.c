/* SPDX-License-Identifier: Apache-2.0 */
/* Goal: what is fenced acknowledges nothing more, whoever died or stands still, and a guardian
 * keeps its word over restarts. Method: real PostgreSQL, backends that are busy while their
 * postmaster is killed (E1), deadlines that pass with nobody left to renew, guardians that are
 * killed. */
#include "tests/integration/pg_node.h"
#include "tests/support/support_wait.h"

#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/wait.h>
#include <unistd.h>

/* Busy for longer than the test, deaf to the death of its postmaster, then a write. */
#define BUSY_INSERT                                                          \
    "DO $$ DECLARE n bigint := 0; stop timestamptz := clock_timestamp() + "  \
    "interval '4 s'; BEGIN WHILE clock_timestamp() < stop LOOP n := n + 1; " \
    "END LOOP; INSERT INTO t VALUES (99); END $$"

static int backend_pid(PGconn *conn)
{
    return PQbackendPID(conn);
}

/* Gone, or a zombie that its parent has not reaped yet: neither acknowledges anything. */
static bool is_gone(void *ctx)
{
    char path[64];
    char state = 'X';

    (void)snprintf(path, sizeof(path), "/proc/%d/stat", *(pid_t *)ctx);
    FILE *file = fopen(path, "r");
    if (file != NULL) {
        assert_int_equal(fscanf(file, "%*d (%*[^)]) %c", &state), 1);
        (void)fclose(file);
    }
    return state == 'X' || state == 'Z';
}

static bool is_still(void *ctx)
{
    const struct guard_status *status = guard_link_status(((struct pg_node *)ctx)->guard);

    return status->connected && !status->running && !status->killing;
}

static bool is_connected(void *ctx)
{
    return guard_link_status(((struct pg_node *)ctx)->guard)->connected;
}

static void assert_not_acknowledged(struct pg_world *world, PGconn *conn, uint64_t ms)
{
    bool ok = false;

    assert_true(pg_node_ended(world, conn, ms, &ok));
    assert_false(ok);
}

static void test_a_busy_backend_acknowledges_nothing_after_its_postmaster_was_killed(void **state)
{
    struct pg_world *world = *state;
    struct pg_node *node = pg_world_add(world);
    pg_node_bootstrap(world, node, false);
    PGconn *conn = pg_node_connect(node);
    pid_t busy = backend_pid(conn);
    pg_node_send(conn, BUSY_INSERT);
    pg_world_run(world, 200);

    uint64_t begun_ms = clock_monotonic_ms();
    assert_int_equal(kill(guard_link_status(node->guard)->pid, SIGKILL), 0);
    pg_world_wait(world, is_still, node);

    /* It would have gone on for seconds; the guardian ended it, and with it the epoch. */
    assert_true(clock_monotonic_ms() - begun_ms < 2000);
    assert_true(is_gone(&busy));
    assert_not_acknowledged(world, conn, 1000);
    pg_world_run(world, 200);
    assert_int_equal(guard_link_status(node->guard)->fenced_epoch.value, 1);
    PQfinish(conn);
    pg_node_wait_state(world, node, INSTANCE_STOPPED);
}

static void test_a_fence_ends_the_epoch_for_ever_and_a_start_is_as_standby(void **state)
{
    struct pg_world *world = *state;
    struct pg_node *node = pg_world_add(world);
    pg_node_bootstrap(world, node, false);

    pg_node_fence(world, node, 1);
    const struct guard_status *status = guard_link_status(node->guard);
    assert_false(status->running);
    assert_int_equal(status->fenced_epoch.value, 1);
    pg_node_wait_state(world, node, INSTANCE_STOPPED);

    struct goal goal = pg_node_goal(world, node, 1);
    pg_node_do(world, node, KEEPER_START, &goal, NULL);
    pg_node_wait_state(world, node, INSTANCE_STANDBY);
    goal.timeline = 3;
    assert_int_equal(
        guard_link_arm(node->guard, (struct epoch){1}, clock_boottime_ns() + UINT64_C(60000000000)),
        ERR_OK);
    pg_node_begin(world, node, KEEPER_PROMOTE, &goal, NULL);
    assert_int_equal(pg_node_end(world, node), ERR_STALE_EPOCH);
    assert_int_equal(pg_node_facts(node).state, INSTANCE_STANDBY);

    /* A later epoch may. */
    goal.epoch.value = 2;
    pg_node_arm(world, node, 2, PG_NODE_LEASE_MS);
    pg_node_do(world, node, KEEPER_PROMOTE, &goal, NULL);
    assert_int_equal(pg_node_facts(node).fork.timeline, 3);
}

static void
test_the_deadline_kills_a_writable_database_though_its_sidecar_stands_still(void **state)
{
    struct pg_world *world = *state;
    struct pg_node *node = pg_world_add(world);
    pg_node_bootstrap(world, node, false);
    PGconn *conn = pg_node_connect(node);

    /* Restarted under epoch 2 with a short lease; then this loop is not run any more, as that of a
     * sidecar that was stopped. */
    pg_node_fence(world, node, 1);
    PQfinish(conn);
    pg_node_wait_state(world, node, INSTANCE_STOPPED);
    struct goal goal = pg_node_goal(world, node, 2);
    goal.timeline = 3;
    goal.mode = SHARD_ASYNC;
    pg_node_do(world, node, KEEPER_START, &goal, NULL);
    pg_node_wait_state(world, node, INSTANCE_STANDBY);
    pg_node_arm(world, node, 2, 2500);
    uint64_t deadline_ms = clock_monotonic_ms() + 2500;
    pg_node_do(world, node, KEEPER_PROMOTE, &goal, NULL);
    conn = pg_node_connect(node);
    pid_t backend = backend_pid(conn);
    pg_node_sql(conn, "INSERT INTO t VALUES (5)", NULL);
    pg_node_send(conn, BUSY_INSERT);

    assert_true(support_wait_until(is_gone, &backend, 6000));

    uint64_t now_ms = clock_monotonic_ms();
    assert_true(now_ms + 50 >= deadline_ms);
    assert_true(now_ms < deadline_ms + 400);
    assert_not_acknowledged(world, conn, 1000);
    PQfinish(conn);
    pg_world_wait(world, is_still, node);
    pg_world_run(world, 200);
    assert_int_equal(guard_link_status(node->guard)->fenced_epoch.value, 2);
}

static void test_a_renewed_lease_moves_the_deadline_and_a_standby_has_none(void **state)
{
    struct pg_world *world = *state;
    struct pg_node *node = pg_world_add(world);
    struct goal goal = pg_node_goal(world, node, 1);
    goal.timeline = 2;
    goal.mode = SHARD_ASYNC;
    pg_node_do(world, node, KEEPER_INIT, &goal, NULL);
    pg_node_do(world, node, KEEPER_START, &goal, NULL);
    pg_node_wait_state(world, node, INSTANCE_STANDBY);

    /* A standby outlives a lease that nobody renews. */
    pg_node_arm(world, node, 1, 100);
    pg_world_run(world, 500);
    assert_true(guard_link_status(node->guard)->running);

    /* A primary lives as long as it is renewed; a deadline in the past does not move it back. */
    pg_node_arm(world, node, 1, 1500);
    pg_node_do(world, node, KEEPER_PROMOTE, &goal, NULL);
    for (int i = 0; i < 10; i++) {
        uint64_t now_ns = clock_boottime_ns();
        assert_int_equal(guard_link_arm(node->guard, (struct epoch){1}, now_ns + 800000000),
                         ERR_OK);
        assert_int_equal(guard_link_arm(node->guard, (struct epoch){1}, now_ns), ERR_OK);
        pg_world_run(world, 200);
        assert_true(guard_link_status(node->guard)->writable);
    }
    pg_world_wait(world, is_still, node);
}

static void test_a_killed_guardian_leaves_nothing_that_the_next_one_does_not_end(void **state)
{
    struct pg_world *world = *state;
    struct pg_node *node = pg_world_add(world);
    pg_node_bootstrap(world, node, false);
    PGconn *conn = pg_node_connect(node);
    pid_t busy = backend_pid(conn);
    pid_t postmaster = guard_link_status(node->guard)->pid;
    pg_node_send(conn, BUSY_INSERT);
    pg_world_run(world, 100);
    char path[PG_PATH_SIZE * 2];
    (void)snprintf(path, sizeof(path), "/proc/%d/stat", postmaster);
    FILE *file = fopen(path, "r");
    assert_non_null(file);
    int guardian = 0;
    assert_int_equal(fscanf(file, "%*d (%*[^)]) %*c %d", &guardian), 1);
    (void)fclose(file);

    assert_int_equal(kill(guardian, SIGKILL), 0);

    /* The postmaster dies with it; the busy backend is found by its working directory. */
    pg_world_run(world, 50);
    pg_world_wait(world, is_connected, node);
    pg_world_wait(world, is_still, node);
    /* Dying, it has let go of its files already when the guardian sees it no more. */
    assert_true(support_wait_until(is_gone, &busy, 1000));
    assert_not_acknowledged(world, conn, 1000);
    PQfinish(conn);
    assert_int_equal(guard_link_status(node->guard)->epoch.value, 1);
}

static void test_a_second_guardian_refuses_to_start(void **state)
{
    struct pg_world *world = *state;
    struct pg_node *node = pg_world_add(world);
    char run[PG_PATH_SIZE * 2];
    char folder[PG_PATH_SIZE * 2];
    (void)snprintf(run, sizeof(run), "%s/run", node->dir);
    (void)snprintf(folder, sizeof(folder), "%s/state", node->dir);

    pid_t pid = fork();
    if (pid == 0) {
        (void)execl("/proc/self/exe",
                    "test",
                    "guardian",
                    "--run",
                    run,
                    "--state",
                    folder,
                    "--data",
                    run,
                    "--output",
                    "/dev/null",
                    "--",
                    "/bin/true",
                    (char *)NULL);
        _exit(99);
    }
    int status = 0;
    assert_int_equal(waitpid(pid, &status, 0), pid);
    assert_true(WIFEXITED(status));
    assert_int_equal(WEXITSTATUS(status), 3);
}

static void test_sigterm_of_the_guardian_fences_a_writable_database_first(void **state)
{
    struct pg_world *world = *state;
    struct pg_node *node = pg_world_add(world);
    pg_node_bootstrap(world, node, false);
    PGconn *conn = pg_node_connect(node);
    pid_t busy = backend_pid(conn);
    pg_node_send(conn, BUSY_INSERT);
    pg_world_run(world, 100);

    assert_int_equal(guard_link_exit(node->guard, NULL, NULL), ERR_OK); /* as SIGTERM does */

    assert_true(support_wait_until(is_gone, &busy, 2000));
    assert_not_acknowledged(world, conn, 1000);
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
        TEST(test_a_busy_backend_acknowledges_nothing_after_its_postmaster_was_killed),
        TEST(test_a_fence_ends_the_epoch_for_ever_and_a_start_is_as_standby),
        TEST(test_the_deadline_kills_a_writable_database_though_its_sidecar_stands_still),
        TEST(test_a_renewed_lease_moves_the_deadline_and_a_standby_has_none),
        TEST(test_a_killed_guardian_leaves_nothing_that_the_next_one_does_not_end),
        TEST(test_a_second_guardian_refuses_to_start),
        TEST(test_sigterm_of_the_guardian_fences_a_writable_database_first),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
