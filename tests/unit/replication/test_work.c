/* SPDX-License-Identifier: Apache-2.0 */
/* Goal: slow work never holds the loop up, can always be cancelled, and leaves no process behind.
 * Method: jobs that wait for ever, programs that sleep, fail, fork, and fill their pipes. */
#include "base/clock.h"
#include "replication/proc.h"
#include "replication/work.h"

#include <errno.h>
#include <setjmp.h>
#include <signal.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>
#include <uv.h>

#include <cmocka.h>

struct job {
    const char *const *argv;
    const char *input;
    const char *lines_with;
    uint64_t timeout_ms;
    struct buf output;
    struct worker *worker;
    enum error error;
    char message[WORK_MESSAGE_SIZE];
    bool done;
    bool closed;
};

static uv_loop_t LOOP;

static enum error wait_for_ever(struct work *work, void *job)
{
    (void)job;
    enum error error = work_wait(work, -1, 0, 3600000);
    return error == ERR_CANCELLED ? work_fail(work, error, "was told to end") : error;
}

static enum error run_program(struct work *work, void *job)
{
    struct job *ours = job;
    struct os_user self;
    assert_int_equal(os_user_find("", &self), ERR_OK);
    struct proc_request request = {.argv = ours->argv,
                                   .input = ours->input,
                                   .lines_with = ours->lines_with,
                                   .user = &self,
                                   .timeout_ms = ours->timeout_ms};
    return proc_run(work, &request, &ours->output);
}

static void on_done(enum error error, const char *message, void *job)
{
    struct job *ours = job;
    ours->error = error;
    memcpy(ours->message, message, WORK_MESSAGE_SIZE);
    ours->done = true;
}

static void on_closed(void *ctx)
{
    ((struct job *)ctx)->closed = true;
}

static int setup(void **state)
{
    struct job *job = calloc(1, sizeof(*job));
    assert_int_equal(uv_loop_init(&LOOP), 0);
    job->worker = worker_new(&LOOP);
    job->timeout_ms = 10000;
    *state = job;
    return 0;
}

static int teardown(void **state)
{
    struct job *job = *state;
    worker_free(job->worker, on_closed, job);
    while (!job->closed) {
        (void)uv_run(&LOOP, UV_RUN_ONCE);
    }
    assert_int_equal(uv_loop_close(&LOOP), 0);
    buf_deinit(&job->output);
    free(job);
    return 0;
}

static void run(struct job *job, work_job *function)
{
    worker_run(job->worker, function, on_done, job);
    while (!job->done) {
        (void)uv_run(&LOOP, UV_RUN_ONCE);
    }
}

static void test_a_cancelled_job_ends_at_once_with_its_message(void **state)
{
    struct job *job = *state;
    worker_run(job->worker, wait_for_ever, on_done, job);
    assert_false(worker_is_idle(job->worker));

    worker_cancel(job->worker);
    while (!job->done) {
        (void)uv_run(&LOOP, UV_RUN_ONCE);
    }

    assert_int_equal(job->error, ERR_CANCELLED);
    assert_string_equal(job->message, "was told to end");
    assert_true(worker_is_idle(job->worker));
}

static void test_a_cancellation_does_not_reach_the_next_job(void **state)
{
    static const char *const ARGV[] = {"/bin/true", NULL};
    struct job *job = *state;
    worker_run(job->worker, wait_for_ever, on_done, job);
    worker_cancel(job->worker);
    worker_cancel(job->worker);
    while (!job->done) {
        (void)uv_run(&LOOP, UV_RUN_ONCE);
    }

    job->done = false;
    job->argv = ARGV;
    run(job, run_program);

    assert_int_equal(job->error, ERR_OK);
    assert_string_equal(job->message, "");
}

static void test_a_worker_can_be_freed_while_its_job_runs(void **state)
{
    struct job *job = *state;
    worker_run(job->worker, wait_for_ever, on_done, job);
    /* teardown frees it */
}

static void test_a_program_gets_its_input_and_its_output_is_kept(void **state)
{
    static const char *const ARGV[] = {"/bin/cat", NULL};
    struct job *job = *state;
    job->argv = ARGV;
    job->input = "one\ntwo\n";

    run(job, run_program);

    assert_int_equal(job->error, ERR_OK);
    assert_int_equal(job->output.len, 8);
    assert_memory_equal(job->output.data, "one\ntwo\n", 8);
}

static void test_a_failed_program_is_named_with_its_last_words(void **state)
{
    static const char *const ARGV[] = {
        "/bin/sh", "-c", "echo first >&2; echo 'no space left' >&2; exit 3", NULL};
    struct job *job = *state;
    job->argv = ARGV;

    run(job, run_program);

    assert_int_equal(job->error, ERR_SYSTEM);
    assert_string_equal(job->message, "sh ended with exit code 3: no space left");
}

static void test_a_failed_program_is_named_with_its_first_error(void **state)
{
    static const char *const ARGV[] = {
        "/bin/sh",
        "-c",
        "echo waiting >&2; echo 'x: error: no space left' >&2; echo 'x: removing contents' >&2;"
        "exit 1",
        NULL};
    struct job *job = *state;
    job->argv = ARGV;

    run(job, run_program);

    assert_int_equal(job->error, ERR_SYSTEM);
    assert_string_equal(job->message, "sh ended with exit code 1: x: error: no space left");
}

static void test_a_program_that_is_not_there_is_an_error(void **state)
{
    static const char *const ARGV[] = {"/nowhere/initdb", NULL};
    struct job *job = *state;
    job->argv = ARGV;

    run(job, run_program);

    assert_int_equal(job->error, ERR_SYSTEM);
    assert_non_null(strstr(job->message, "initdb ended with exit code 127"));
}

static void test_at_its_deadline_a_program_is_killed_with_all_that_it_started(void **state)
{
    static const char *const ARGV[] = {"/bin/sh", "-c", "/bin/sleep 3600 & echo $!; wait", NULL};
    struct job *job = *state;
    job->argv = ARGV;
    job->timeout_ms = 300;

    uint64_t begun_ms = clock_monotonic_ms();
    run(job, run_program);

    assert_int_equal(job->error, ERR_TIMEOUT);
    assert_non_null(strstr(job->message, "/bin/sh was still running after 300 ms"));
    assert_true(clock_monotonic_ms() - begun_ms < 5000);
}

static void test_a_chatty_program_does_not_fill_our_memory(void **state)
{
    static const char *const ARGV[] = {"/bin/sh", "-c", "head -c 3000000 /dev/zero", NULL};
    struct job *job = *state;
    job->argv = ARGV;

    run(job, run_program);

    assert_int_equal(job->error, ERR_OK);
    assert_true(job->output.len <= PROC_OUTPUT_MAX);
}

static void test_a_program_that_reads_nothing_is_no_trouble(void **state)
{
    static const char *const ARGV[] = {"/bin/true", NULL};
    static char INPUT[200000];
    struct job *job = *state;
    memset(INPUT, 'x', sizeof(INPUT) - 1);
    job->argv = ARGV;
    job->input = INPUT;

    run(job, run_program);

    assert_int_equal(job->error, ERR_OK);
}

static void test_an_unknown_user_is_refused(void **state)
{
    struct os_user user;
    (void)state;

    assert_int_equal(os_user_find("nobody-of-that-name", &user), ERR_NOT_FOUND);
    assert_int_equal(os_user_find(NULL, &user), ERR_OK);
    assert_false(user.change);
}

/* Some megabytes, of which PROC_OUTPUT_MAX would be kept. */
static void test_of_much_that_is_said_the_lines_that_matter_are_kept(void **state)
{
    static const char *const ARGV[] = {
        "/bin/sh",
        "-c",
        "echo a CHECK; seq 1 500000; echo another CHECK; seq 1 500000; printf 'the last CHECK'",
        NULL};
    struct job *job = *state;
    job->argv = ARGV;
    job->lines_with = "CHECK";

    run(job, run_program);

    assert_int_equal(job->error, ERR_OK);
    buf_append(&job->output, "", 1);
    assert_string_equal((const char *)job->output.data, "a CHECK\nanother CHECK\nthe last CHECK");
}

static void test_a_program_that_talks_without_a_pause_ends_at_its_deadline(void **state)
{
    static const char *const ARGV[] = {"/usr/bin/yes", NULL};
    struct job *job = *state;
    job->argv = ARGV;
    job->timeout_ms = 200;
    job->lines_with = "n";

    run(job, run_program);

    assert_int_equal(job->error, ERR_TIMEOUT);
    assert_int_equal(job->output.len, 0);
}

#define TEST(name) cmocka_unit_test_setup_teardown(name, setup, teardown)

int main(void)
{
    const struct CMUnitTest tests[] = {
        TEST(test_a_cancelled_job_ends_at_once_with_its_message),
        TEST(test_a_cancellation_does_not_reach_the_next_job),
        TEST(test_a_worker_can_be_freed_while_its_job_runs),
        TEST(test_a_program_gets_its_input_and_its_output_is_kept),
        TEST(test_a_failed_program_is_named_with_its_last_words),
        TEST(test_a_failed_program_is_named_with_its_first_error),
        TEST(test_a_program_that_is_not_there_is_an_error),
        TEST(test_at_its_deadline_a_program_is_killed_with_all_that_it_started),
        TEST(test_a_chatty_program_does_not_fill_our_memory),
        TEST(test_of_much_that_is_said_the_lines_that_matter_are_kept),
        TEST(test_a_program_that_talks_without_a_pause_ends_at_its_deadline),
        TEST(test_a_program_that_reads_nothing_is_no_trouble),
        cmocka_unit_test(test_an_unknown_user_is_refused),
    };
    (void)signal(SIGPIPE, SIG_IGN); /* as every program of ours does */
    return cmocka_run_group_tests(tests, NULL, NULL);
}
