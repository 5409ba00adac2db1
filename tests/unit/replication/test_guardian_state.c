/* SPDX-License-Identifier: Apache-2.0 */
/* Goal: a guardian that does not know what it promised does not start, and one says that something
 * cannot be ended only after it was seen for a while. Method: a state file of noise; a state made
 * by hand. */
#include "base/clock.h"
#include "replication/guardian.h"
#include "replication/guardian_internal.h"
#include "tests/support/support_tmpdir.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

enum {
    PATH_SIZE = 512
};

static void test_a_damaged_state_file_keeps_the_guardian_from_starting(void **state)
{
    (void)state;
    char path[PATH_SIZE];
    const char *dir = support_tmpdir("guardian-state");
    (void)snprintf(path, sizeof(path), "%s/guardian.state", dir);
    FILE *file = fopen(path, "w");
    assert_non_null(file);
    assert_int_equal(fwrite("0123456789abcdef0123456789abcdef", 1, 32, file), 32);
    assert_int_equal(fclose(file), 0);
    (void)snprintf(path, sizeof(path), "%s", dir);
    char *argv[] = {strdup("/bin/true"), NULL};

    struct guardian_config config = {
        .run_dir = path, .state_dir = path, .data_dir = path, .user = "", .argv = argv};
    config.output = "/dev/null";
    assert_int_equal(guardian_run(&config), GUARDIAN_EXIT_SETUP);
    free(argv[0]);
}

static void
test_what_has_just_died_is_not_said_to_be_stuck_however_long_the_killing_took(void **state)
{
    (void)state;
    static struct guardian guardian;
    uint64_t now_ns = clock_boottime_ns();

    guardian = (struct guardian){.kill_passes = 1000, .census = {.zombies = 1}};
    guardian.dead_ns = now_ns;
    assert_false(guardian_is_stuck(&guardian));
    guardian.dead_ns = now_ns - UINT64_C(2000000000);
    assert_true(guardian_is_stuck(&guardian));
    guardian.dead_ns = 0;
    assert_false(guardian_is_stuck(&guardian));
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_a_damaged_state_file_keeps_the_guardian_from_starting),
        cmocka_unit_test(
            test_what_has_just_died_is_not_said_to_be_stuck_however_long_the_killing_took),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
