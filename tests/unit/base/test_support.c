/* SPDX-License-Identifier: Apache-2.0 */
/* Goal: the fixtures keep what they promise, since every other test rests on them. Method: use each
 * as a test would, and look from outside. */
#include "tests/support/support_port.h"
#include "tests/support/support_process.h"
#include "tests/support/support_tmpdir.h"
#include "tests/support/support_wait.h"

#include <setjmp.h>
#include <signal.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include <cmocka.h>

static bool exists(const char *path)
{
    struct stat info;
    return stat(path, &info) == 0;
}

static bool third_call(void *ctx)
{
    int *calls = ctx;
    *calls += 1;
    return *calls >= 3;
}

static bool never(void *ctx)
{
    (void)ctx;
    return false;
}

static void test_folders_are_new_and_can_be_removed_with_what_is_in_them(void **state)
{
    (void)state;
    char path[256];
    const char *first = support_tmpdir("fixture");
    const char *second = support_tmpdir("fixture");
    assert_string_not_equal(first, second);
    assert_true(exists(first) && exists(second));

    (void)snprintf(path, sizeof(path), "%s/inner", first);
    assert_int_equal(mkdir(path, 0700), 0);
    support_remove_tree(first);
    assert_false(exists(first));
    support_remove_tree(first);
}

static void test_ports_are_not_given_twice(void **state)
{
    (void)state;
    uint16_t ports[50];
    for (size_t i = 0; i < 50; i++) {
        ports[i] = support_free_port();
        assert_in_range(ports[i], 12000, 20999);
        for (size_t j = 0; j < i; j++) {
            assert_int_not_equal(ports[i], ports[j]);
        }
    }
}

static void test_waiting_ends_with_the_condition_or_the_deadline(void **state)
{
    (void)state;
    int calls = 0;
    assert_true(support_wait_until(third_call, &calls, 10000));
    assert_int_equal(calls, 3);
    assert_false(support_wait_until(never, NULL, 20));
}

static void test_exit_code_and_output_of_a_process_are_kept(void **state)
{
    (void)state;
    char log[256];
    char text[16] = "";
    int status = 0;
    (void)snprintf(log, sizeof(log), "%s/log", support_tmpdir("fixture"));
    const char *const argv[] = {"sh", "-c", "echo out; echo err >&2; exit 3", NULL};

    struct support_process *process = support_process_spawn(argv, log);
    assert_true(support_process_wait(process, 10000, &status));
    assert_int_equal(status, 3);
    assert_true(support_process_wait(process, 0, &status));
    support_process_free(process);

    FILE *file = fopen(log, "r");
    assert_non_null(file);
    assert_int_equal(fread(text, 1, sizeof(text) - 1, file), 8);
    assert_string_equal(text, "out\nerr\n");
    (void)fclose(file);
}

static void test_process_that_goes_on_is_waited_for_only_so_long_and_can_be_ended(void **state)
{
    (void)state;
    int status = 0;
    const char *const argv[] = {"sleep", "600", NULL};
    struct support_process *process = support_process_spawn(argv, NULL);
    assert_false(support_process_wait(process, 20, &status));
    support_process_signal(process, SIGTERM);
    assert_true(support_process_wait(process, 10000, &status));
    assert_int_equal(status, 128 + SIGTERM);
    support_process_free(process);
}

static void test_freeing_a_process_kills_it(void **state)
{
    (void)state;
    const char *const argv[] = {"sleep", "600", NULL};
    struct support_process *process = support_process_spawn(argv, NULL);
    pid_t pid = support_process_pid(process);
    support_process_free(process);
    assert_int_equal(kill(pid, 0), -1);
    support_process_free(NULL);
}

static void test_program_that_is_not_there_ends_at_once(void **state)
{
    (void)state;
    int status = 0;
    const char *const argv[] = {"no-such-program-of-ours", NULL};
    struct support_process *process = support_process_spawn(argv, NULL);
    assert_true(support_process_wait(process, 10000, &status));
    assert_int_equal(status, 127);
    support_process_free(process);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_folders_are_new_and_can_be_removed_with_what_is_in_them),
        cmocka_unit_test(test_ports_are_not_given_twice),
        cmocka_unit_test(test_waiting_ends_with_the_condition_or_the_deadline),
        cmocka_unit_test(test_exit_code_and_output_of_a_process_are_kept),
        cmocka_unit_test(test_process_that_goes_on_is_waited_for_only_so_long_and_can_be_ended),
        cmocka_unit_test(test_freeing_a_process_kills_it),
        cmocka_unit_test(test_program_that_is_not_there_ends_at_once),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
