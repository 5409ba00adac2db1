/* SPDX-License-Identifier: Apache-2.0 */
/* Goal: nobody who logs waits for who reads; what is lost is counted and said; order is kept; a
 * process that ends gets its last words out if anybody listens, and ends in time if nobody does.
 * Method: children that log into a pipe that is read, or not. */
#include "base/log_writer.h"

#include "base/check.h"
#include "base/clock.h"

#include <fcntl.h>
#include <inttypes.h>
#include <poll.h>
#include <setjmp.h>
#include <signal.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/wait.h>
#include <unistd.h>

#include <cmocka.h>

enum {
    QUEUE_BYTES = 64 * 1024,
    LINES_FLOOD = 20000, /* more than pipe and queue hold */
    LINES_FEW = 100,
    TEXT_SIZE = 4 << 20,
    IN_TIME_MS = 30000, /* a busy machine's; who waits for a reader waits for ever */
};

struct child {
    pid_t pid;
    int log;   /* what it logs */
    int speak; /* one byte a step that it has done */
    int heed;  /* one byte lets it go on */
};

static int child_speak;
static int child_heed;

static struct child start(void (*run)(void))
{
    int log[2];
    int speak[2];
    int heed[2];
    assert_int_equal(pipe(log) | pipe(speak) | pipe(heed), 0);
    pid_t pid = fork();
    if (pid == 0) {
        (void)close(log[0]);
        child_speak = speak[1];
        child_heed = heed[0];
        (void)alarm(IN_TIME_MS / 1000); /* a child that waits for its reader ends by this */
        log_set_fd(log[1]);
        log_set_sink(NULL, NULL);
        log_writer_start(QUEUE_BYTES);
        run();
        _exit(log_flush(LOG_FLUSH_MS) ? 0 : 1);
    }
    (void)close(log[1]);
    (void)close(speak[1]);
    (void)close(heed[0]);
    return (struct child){.pid = pid, .log = log[0], .speak = speak[0], .heed = heed[1]};
}

static void say_done(void)
{
    if (write(child_speak, "x", 1) != 1) {
        _exit(2);
    }
}

static void wait_to_go_on(void)
{
    char byte;
    if (read(child_heed, &byte, 1) != 1) {
        _exit(2);
    }
}

static void await_step(const struct child *child)
{
    struct pollfd step = {.fd = child->speak, .events = POLLIN};
    char byte;
    assert_int_equal(poll(&step, 1, IN_TIME_MS), 1);
    assert_int_equal(read(child->speak, &byte, 1), 1);
}

static void let_go_on(const struct child *child)
{
    assert_int_equal(write(child->heed, "x", 1), 1);
}

/* Everything until its end; the caller frees. */
static char *read_all(const struct child *child)
{
    char *text = malloc(TEXT_SIZE);
    size_t len = 0;
    assert_non_null(text);
    for (ssize_t got = 0; (got = read(child->log, text + len, TEXT_SIZE - 1 - len)) > 0;) {
        len += (size_t)got;
    }
    text[len] = '\0';
    return text;
}

/* Its wait status. */
static int end(const struct child *child)
{
    int status = 0;
    assert_int_equal(waitpid(child->pid, &status, 0), child->pid);
    (void)close(child->log);
    (void)close(child->speak);
    (void)close(child->heed);
    return status;
}

static void log_few(void)
{
    for (int i = 0; i < LINES_FEW; i++) {
        log_event(LOG_INFO, "test.line", "n=%d", i);
    }
}

static void log_flood(void)
{
    for (int i = 0; i < LINES_FLOOD; i++) {
        log_event(LOG_WARN, "test.line", "n=%d", i);
    }
}

static void test_lines_leave_in_order_and_an_end_waits_for_the_last(void **state)
{
    (void)state;
    struct child child = start(log_few);
    char *text = read_all(&child);
    const char *at = text;
    for (int i = 0; i < LINES_FEW; i++) {
        char part[32];
        (void)snprintf(part, sizeof(part), "event=test.line n=%d\n", i);
        at = strstr(at, part);
        assert_non_null(at);
    }
    assert_int_equal(end(&child), 0);
    free(text);
}

static void flood_then_go_on(void)
{
    log_flood();
    say_done();
    wait_to_go_on();
    while (!log_flush(LOG_FLUSH_MS)) {
    }
    log_event(LOG_INFO, "test.last", "%s", "");
}

static void test_a_log_that_is_not_read_keeps_nobody_and_what_was_lost_is_said(void **state)
{
    (void)state;
    struct child child = start(flood_then_go_on);
    await_step(&child); /* although nobody has read anything */
    let_go_on(&child);
    char *text = read_all(&child);
    static const char line[] = "event=test.line n=";
    static const char gap[] = "event=log.dropped lines=";
    uint64_t next = 0;
    uint64_t lost = 0;
    const char *said = NULL;
    for (const char *at = text; (at = strstr(at, "event=")) != NULL; at++) {
        if (strncmp(at, line, sizeof(line) - 1) == 0) {
            assert_int_equal(strtoull(at + sizeof(line) - 1, NULL, 10), next);
            next++;
        } else if (strncmp(at, gap, sizeof(gap) - 1) == 0) {
            said = at;
            lost += strtoull(at + sizeof(gap) - 1, NULL, 10);
            next += strtoull(at + sizeof(gap) - 1, NULL, 10);
        }
    }
    assert_int_equal(next, LINES_FLOOD);
    assert_true(lost > 0 && lost < LINES_FLOOD);
    assert_non_null(strstr(said, "event=test.last"));
    assert_int_equal(end(&child), 0);
    free(text);
}

static void flood_then_an_error(void)
{
    log_flood();
    log_event(LOG_ERROR, "test.error", "%s", "");
    say_done();
    while (!log_flush(LOG_FLUSH_MS)) {
    }
}

static void test_an_error_finds_room_where_a_flood_of_warnings_does_not(void **state)
{
    (void)state;
    struct child child = start(flood_then_an_error);
    await_step(&child);
    char *text = read_all(&child);
    assert_non_null(strstr(text, " error event=test.error\n"));
    assert_int_equal(end(&child), 0);
    free(text);
}

static void flood_then_leave(void)
{
    log_flood();
}

static void test_an_end_does_not_wait_for_ever(void **state)
{
    (void)state;
    uint64_t began_ms = clock_monotonic_ms();
    struct child child = start(flood_then_leave);
    int status = end(&child);
    assert_true(WIFEXITED(status) && WEXITSTATUS(status) == 1);
    assert_true(clock_monotonic_ms() - began_ms >= LOG_FLUSH_MS);
}

static void few_then_fail(void)
{
    log_few();
    CHECK(1 + 1 == 3);
}

static void test_last_words_come_behind_what_was_logged_before(void **state)
{
    (void)state;
    struct child child = start(few_then_fail);
    char *text = read_all(&child);
    const char *last = strstr(text, "event=test.line n=99\n");
    assert_non_null(last);
    assert_non_null(strstr(last, "error event=check.failed condition=\"1 + 1 == 3\""));
    assert_non_null(strstr(last, "few_then_fail"));
    assert_true(WIFSIGNALED(end(&child)));
    free(text);
}

static void flood_then_fail(void)
{
    log_flood();
    CHECK(1 + 1 == 3);
}

static void test_a_process_that_doubts_itself_ends_although_its_log_is_not_read(void **state)
{
    (void)state;
    struct child child = start(flood_then_fail);
    int status = end(&child);
    assert_true(WIFSIGNALED(status) && WTERMSIG(status) == SIGABRT);
}

static void log_into_nothing(void)
{
    log_set_fd(-1);
    log_flood();
    if (!log_flush(IN_TIME_MS)) {
        _exit(3);
    }
}

static void test_a_log_that_cannot_be_written_stops_nobody(void **state)
{
    (void)state;
    struct child child = start(log_into_nothing);
    assert_int_equal(end(&child), 0);
}

static void fork_and_log(void)
{
    log_few();
    pid_t pid = fork();
    if (pid == 0) {
        log_event(LOG_INFO, "test.child", "%s", "");
        _exit(0);
    }
    int status = 0;
    if (waitpid(pid, &status, 0) != pid || status != 0) {
        _exit(4);
    }
}

static void test_a_child_of_the_process_writes_its_lines_at_once(void **state)
{
    (void)state;
    struct child child = start(fork_and_log);
    char *text = read_all(&child);
    assert_non_null(strstr(text, "event=test.child"));
    assert_int_equal(end(&child), 0);
    free(text);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_lines_leave_in_order_and_an_end_waits_for_the_last),
        cmocka_unit_test(test_a_log_that_is_not_read_keeps_nobody_and_what_was_lost_is_said),
        cmocka_unit_test(test_an_error_finds_room_where_a_flood_of_warnings_does_not),
        cmocka_unit_test(test_an_end_does_not_wait_for_ever),
        cmocka_unit_test(test_last_words_come_behind_what_was_logged_before),
        cmocka_unit_test(test_a_process_that_doubts_itself_ends_although_its_log_is_not_read),
        cmocka_unit_test(test_a_log_that_cannot_be_written_stops_nobody),
        cmocka_unit_test(test_a_child_of_the_process_writes_its_lines_at_once),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
