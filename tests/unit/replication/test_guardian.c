/* SPDX-License-Identifier: Apache-2.0 */
/* Goal: the guardian finds and ends every process of its database, keeps epochs over restarts, and
 * refuses what is not allowed. Method: a real guardian, started by a real guard_link; the database
 * is a shell that starts processes in sessions of their own, orphans some, and ignores signals. */
#include "base/clock.h"
#include "replication/guard_link.h"
#include "replication/guardian.h"
#include "tests/support/support_tmpdir.h"
#include "tests/support/support_wait.h"

#include <dirent.h>
#include <setjmp.h>
#include <signal.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>
#include <uv.h>

#include <cmocka.h>

enum {
    PATH_SIZE = 256,
    WAIT_MS = 10000,
    MARK_SIZE = 32
};

struct world {
    uv_loop_t loop;
    uv_timer_t tick;
    struct guard_link *link;
    char dir[PATH_SIZE];
    char mark[MARK_SIZE]; /* how long the database's processes sleep: tells them from all others */
    char script[PATH_SIZE * 2];
    enum error error;
    bool answered;
    bool closed;
};

static void on_change(void *ctx)
{
    (void)ctx;
}

static void on_tick(uv_timer_t *timer)
{
    (void)timer;
}

static void on_closed(void *ctx)
{
    ((struct world *)ctx)->closed = true;
}

static void on_answer(enum error error, const struct guard_status *status, void *ctx)
{
    struct world *world = ctx;
    (void)status;
    world->error = error;
    world->answered = true;
}

static const struct guard_status *status_of(const struct world *world)
{
    return guard_link_status(world->link);
}

static void wait_for(struct world *world, bool (*condition)(struct world *world))
{
    uint64_t until_ms = clock_monotonic_ms() + WAIT_MS;
    while (!condition(world)) {
        assert_true(clock_monotonic_ms() < until_ms);
        (void)uv_run(&world->loop, UV_RUN_ONCE);
    }
}

static bool is_connected(struct world *world)
{
    return status_of(world)->connected && !status_of(world)->killing;
}

static bool is_answered(struct world *world)
{
    return world->answered;
}

static bool is_still(struct world *world)
{
    return status_of(world)->connected && !status_of(world)->running && !status_of(world)->killing;
}

static enum error await(struct world *world, enum error sent)
{
    assert_int_equal(sent, ERR_OK);
    wait_for(world, is_answered);
    world->answered = false;
    return world->error;
}

static void connect_link(struct world *world)
{
    char run[PATH_SIZE + 16];
    char log[PATH_SIZE + 16];
    const char *const argv[] = {"/bin/sh", "-c", world->script, NULL};
    (void)snprintf(run, sizeof(run), "%s/data", world->dir);
    (void)snprintf(log, sizeof(log), "%s/log", world->dir);
    struct guard_link_config config = {
        .run_dir = world->dir,
        .state_dir = world->dir,
        .data_dir = run,
        .log_file = log,
        .output = log,
        .argv = argv,
    };
    assert_int_equal(guard_link_new(&world->loop, &config, on_change, world, &world->link), ERR_OK);
    wait_for(world, is_connected);
}

static void drop_link(struct world *world)
{
    world->closed = false;
    guard_link_free(world->link, on_closed, world);
    while (!world->closed) {
        (void)uv_run(&world->loop, UV_RUN_ONCE);
    }
}

static int setup(void **state)
{
    static int count;
    struct world *world = calloc(1, sizeof(*world));
    char path[PATH_SIZE + 16];
    (void)snprintf(world->dir, sizeof(world->dir), "%s", support_tmpdir("guard"));
    (void)snprintf(path, sizeof(path), "%s/data", world->dir);
    assert_int_equal(mkdir(path, 0700), 0);
    (void)snprintf(world->mark, sizeof(world->mark), "%d.%03d", getpid() + 3600, ++count);
    /* A child that ignores polite signals, one in a session of its own, and an orphan. */
    (void)snprintf(
        world->script,
        sizeof(world->script),
        "trap '' TERM HUP; (cd / && setsid sleep %s &); setsid sh -c 'sleep %s & sleep %s & wait' &"
        " trap 'exit 0' INT; while :; do sleep %s & wait $!; done",
        world->mark,
        world->mark,
        world->mark,
        world->mark);
    assert_int_equal(uv_loop_init(&world->loop), 0);
    assert_int_equal(uv_timer_init(&world->loop, &world->tick), 0);
    assert_int_equal(uv_timer_start(&world->tick, on_tick, 5, 5), 0);
    connect_link(world);
    *state = world;
    return 0;
}

static int teardown(void **state)
{
    struct world *world = *state;
    if (guard_link_exit(world->link, on_answer, world) == ERR_OK) {
        wait_for(world, is_answered);
    }
    drop_link(world);
    uv_close((uv_handle_t *)&world->tick, NULL);
    (void)uv_run(&world->loop, UV_RUN_DEFAULT);
    (void)uv_loop_close(&world->loop);
    free(world);
    return 0;
}

/* Processes whose command line holds the mark, zombies excepted (theirs is empty). */
static int count_marked(const struct world *world)
{
    DIR *dir = opendir("/proc");
    int count = 0;
    assert_non_null(dir);
    for (struct dirent *entry = readdir(dir); entry != NULL; entry = readdir(dir)) {
        char path[PATH_SIZE + 32];
        char text[PATH_SIZE * 4] = "";
        (void)snprintf(path, sizeof(path), "/proc/%s/cmdline", entry->d_name);
        FILE *file = entry->d_name[0] >= '1' && entry->d_name[0] <= '9' ? fopen(path, "r") : NULL;
        if (file == NULL) {
            continue;
        }
        size_t len = fread(text, 1, sizeof(text) - 1, file);
        (void)fclose(file);
        bool marked = memmem(text, len, world->mark, strlen(world->mark)) != NULL;
        bool guardian = memmem(text, len, "guardian", 8) != NULL;
        count += marked && !guardian ? 1 : 0;
    }
    (void)closedir(dir);
    return count;
}

static bool all_run(void *ctx)
{
    return count_marked(ctx) >= 6;
}

static void start(struct world *world)
{
    assert_int_equal(await(world, guard_link_start(world->link, NULL, on_answer, world)), ERR_OK);
    assert_true(status_of(world)->running);
    assert_true(support_wait_until(all_run, world, WAIT_MS));
}

static uint64_t from_now(uint64_t ms)
{
    return clock_boottime_ns() + ms * UINT64_C(1000000);
}

static void make_writable(struct world *world, uint64_t epoch, uint64_t ms)
{
    struct epoch e = {epoch};
    assert_int_equal(guard_link_arm(world->link, e, from_now(ms)), ERR_OK);
    assert_int_equal(await(world, guard_link_writable(world->link, e, on_answer, world)), ERR_OK);
    assert_true(status_of(world)->writable);
}

static void test_a_fence_leaves_no_process_in_whatever_session_it_is(void **state)
{
    struct world *world = *state;
    start(world);

    enum error error =
        await(world, guard_link_kill(world->link, (struct epoch){3}, on_answer, world));

    assert_int_equal(error, ERR_OK);
    assert_int_equal(count_marked(world), 0);
    assert_int_equal(status_of(world)->fenced_epoch.value, 3);
    assert_false(status_of(world)->running);
}

static void test_the_death_of_the_first_process_is_the_end_of_all(void **state)
{
    struct world *world = *state;
    start(world);
    make_writable(world, 1, 60000);

    assert_int_equal(kill(status_of(world)->pid, SIGKILL), 0);

    wait_for(world, is_still);
    assert_int_equal(count_marked(world), 0);
    assert_false(status_of(world)->writable);
}

static void test_the_deadline_ends_what_is_writable_and_nothing_else(void **state)
{
    struct world *world = *state;
    start(world);
    assert_int_equal(guard_link_arm(world->link, (struct epoch){1}, from_now(50)), ERR_OK);
    uint64_t until_ms = clock_monotonic_ms() + 300;
    while (clock_monotonic_ms() < until_ms) {
        (void)uv_run(&world->loop, UV_RUN_ONCE);
    }
    assert_true(status_of(world)->running); /* not writable: it lives on */

    make_writable(world, 2, 300);
    wait_for(world, is_still);
    assert_int_equal(count_marked(world), 0);
}

static void test_writable_needs_a_running_lease_of_the_epoch(void **state)
{
    struct world *world = *state;
    struct epoch one = {1};
    struct epoch two = {2};
    assert_int_equal(guard_link_arm(world->link, one, from_now(60000)), ERR_OK);
    assert_int_equal(await(world, guard_link_writable(world->link, one, on_answer, world)),
                     ERR_PRECONDITION); /* nothing runs */
    start(world);

    assert_int_equal(await(world, guard_link_writable(world->link, two, on_answer, world)),
                     ERR_STALE_EPOCH); /* not armed */
    assert_int_equal(guard_link_arm(world->link, two, from_now(0)), ERR_OK);
    assert_int_equal(await(world, guard_link_writable(world->link, two, on_answer, world)),
                     ERR_PRECONDITION); /* over already */
    assert_int_equal(guard_link_arm(world->link, two, from_now(60000)), ERR_OK);
    assert_int_equal(await(world, guard_link_writable(world->link, one, on_answer, world)),
                     ERR_STALE_EPOCH); /* a lower one */
    assert_int_equal(await(world, guard_link_writable(world->link, two, on_answer, world)), ERR_OK);
    assert_int_equal(await(world, guard_link_stop(world->link, 3000, on_answer, world)), ERR_OK);
    assert_int_equal(status_of(world)->fenced_epoch.value, 2); /* the end of what was writable */
}

static void test_a_fenced_epoch_is_over_for_the_next_guardian_too(void **state)
{
    struct world *world = *state;
    struct epoch five = {5};
    start(world);
    make_writable(world, 5, 60000);
    assert_int_equal(await(world, guard_link_kill(world->link, five, on_answer, world)), ERR_OK);
    assert_int_equal(await(world, guard_link_exit(world->link, on_answer, world)), ERR_OK);
    drop_link(world);

    connect_link(world);

    assert_int_equal(status_of(world)->fenced_epoch.value, 5);
    start(world);
    assert_int_equal(guard_link_arm(world->link, five, from_now(60000)), ERR_OK);
    assert_int_equal(await(world, guard_link_writable(world->link, five, on_answer, world)),
                     ERR_STALE_EPOCH);
}

static void test_the_database_outlives_its_sidecar_and_is_found_again(void **state)
{
    struct world *world = *state;
    start(world);
    int32_t pid = status_of(world)->pid;

    drop_link(world);
    connect_link(world);

    assert_int_equal(status_of(world)->pid, pid);
    assert_int_equal(status_of(world)->starts, 1);
    assert_int_equal(await(world, guard_link_start(world->link, NULL, on_answer, world)),
                     ERR_PRECONDITION); /* it runs */
}

static void test_a_stop_is_polite_and_bounded(void **state)
{
    struct world *world = *state;
    start(world);

    uint64_t begun_ms = clock_monotonic_ms();
    assert_int_equal(await(world, guard_link_stop(world->link, 3000, on_answer, world)), ERR_OK);

    assert_true(clock_monotonic_ms() - begun_ms < 2500); /* SIGINT was enough for the first */
    assert_int_equal(count_marked(world), 0);
    assert_int_equal(status_of(world)->fenced_epoch.value, 0); /* a stop ends no epoch */
}

static bool has_cgroup(void)
{
    char text[PATH_SIZE * 64] = "";
    FILE *file = fopen("/proc/self/mounts", "r");
    assert_non_null(file);
    size_t len = fread(text, 1, sizeof(text) - 1, file);
    (void)fclose(file);
    return geteuid() == 0 && memmem(text, len, " cgroup2 rw", 11) != NULL;
}

static bool none_run(void *ctx)
{
    return count_marked(ctx) == 0;
}

static void test_what_a_killed_guardian_left_is_found_wherever_it_works(void **state)
{
    struct world *world = *state;
    char path[PATH_SIZE];
    int guardian = 0;
    if (!has_cgroup()) {
        skip(); /* then only the working directory tells, and one of these has left it */
    }
    start(world);
    (void)snprintf(path, sizeof(path), "/proc/%d/stat", status_of(world)->pid);
    FILE *file = fopen(path, "r");
    assert_non_null(file);
    assert_int_equal(fscanf(file, "%*d (%*[^)]) %*c %d", &guardian), 1);
    (void)fclose(file);

    assert_int_equal(kill(guardian, SIGKILL), 0);
    uint64_t until_ms = clock_monotonic_ms() + 100;
    while (clock_monotonic_ms() < until_ms) {
        (void)uv_run(&world->loop, UV_RUN_ONCE);
    }

    wait_for(world, is_still);
    assert_true(support_wait_until(none_run, world, WAIT_MS));
}

#define TEST(name) cmocka_unit_test_setup_teardown(name, setup, teardown)

int main(int argc, char **argv)
{
    if (argc > 15 && strcmp(argv[1], "guardian") == 0) { /* as guard_link gives them */
        struct guardian_config config = {.run_dir = argv[3],
                                         .state_dir = argv[5],
                                         .data_dir = argv[7],
                                         .output = argv[9],
                                         .user = argv[11],
                                         .stop_signal = SIGINT,
                                         .argv = argv + 15};
        return guardian_run(&config);
    }
    const struct CMUnitTest tests[] = {
        TEST(test_a_fence_leaves_no_process_in_whatever_session_it_is),
        TEST(test_the_death_of_the_first_process_is_the_end_of_all),
        TEST(test_the_deadline_ends_what_is_writable_and_nothing_else),
        TEST(test_writable_needs_a_running_lease_of_the_epoch),
        TEST(test_a_fenced_epoch_is_over_for_the_next_guardian_too),
        TEST(test_the_database_outlives_its_sidecar_and_is_found_again),
        TEST(test_a_stop_is_polite_and_bounded),
        TEST(test_what_a_killed_guardian_left_is_found_wherever_it_works),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
