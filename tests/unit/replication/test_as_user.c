/* SPDX-License-Identifier: Apache-2.0 */
/* Signals by numbers that the database told. Goal: whatever it tells, nobody is signalled but
 * processes of its user. */
#include "replication/as_user.h"

#include <setjmp.h>
#include <signal.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <sys/wait.h>
#include <unistd.h>

#include <cmocka.h>

static void test_only_a_process_of_the_user_is_signalled(void **state)
{
    struct os_user other = {.uid = geteuid() + 1};
    struct os_user own = {.uid = geteuid()};
    int status = 0;
    (void)state;

    pid_t pid = fork();
    if (pid == 0) {
        (void)pause();
        _exit(0);
    }
    assert_true(pid > 0);
    assert_false(as_user_signal(&other, pid, SIGTERM));
    assert_int_equal(waitpid(pid, &status, WNOHANG), 0);
    assert_true(as_user_signal(&own, pid, SIGTERM));
    assert_int_equal(waitpid(pid, &status, 0), pid);
    assert_true(WIFSIGNALED(status));
    assert_false(as_user_signal(&own, pid, SIGTERM)); /* gone */
    assert_false(as_user_signal(&own, 0, SIGTERM));   /* a group is no process */
    assert_false(as_user_signal(&own, -1, SIGTERM));
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_only_a_process_of_the_user_is_signalled),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
