/* SPDX-License-Identifier: Apache-2.0 */
/* Which standby.signal it is. Goal: whoever takes it away and puts one in its place, or moves it
 * and brings it back, is seen. Method: real files; a file system counts time in ticks, so what is
 * done to them is done again until the tick is another one. */
#include "replication/postgres/pg_files.h"
#include "tests/support/support_tmpdir.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <string.h>
#include <sys/eventfd.h>
#include <sys/stat.h>
#include <unistd.h>

#include <cmocka.h>

static struct pg_place place;
static struct work work;
static char path[PG_PATH_SIZE * 2];
static char aside[PG_PATH_SIZE * 2];

static int set_up(void **state)
{
    const char *dir = support_tmpdir("signal");

    memset(&place, 0, sizeof(place));
    work = (struct work){.cancel_fd = eventfd(0, EFD_CLOEXEC)};
    place.user.uid = geteuid();
    place.user.gid = getegid();
    (void)snprintf(place.data, sizeof(place.data), "%s/pgdata", dir);
    (void)snprintf(place.state, sizeof(place.state), "%s/state", dir);
    (void)snprintf(path, sizeof(path), "%s/standby.signal", place.data);
    (void)snprintf(aside, sizeof(aside), "%s/standby.aside", place.data);
    assert_int_equal(mkdir(place.data, 0700), 0);
    assert_int_equal(mkdir(place.state, 0700), 0);
    (void)state;
    return 0;
}

static int tear_down(void **state)
{
    (void)state;
    (void)close(work.cancel_fd);
    return 0;
}

static void test_the_file_that_a_start_put_there_is_known_again(void **state)
{
    (void)state;
    assert_false(pg_files_signal_is_noted(&place));
    assert_int_equal(pg_files_put_signal(&work, &place), ERR_OK);
    assert_false(pg_files_signal_is_noted(&place));
    assert_int_equal(pg_files_note_signal(&work, &place), ERR_OK);
    assert_true(pg_files_signal_is_noted(&place));
    assert_int_equal(chmod(place.data, 0750), 0); /* what happens beside it is nothing to it */
    assert_true(pg_files_signal_is_noted(&place));
}

static void test_a_file_that_was_taken_away_is_another_one(void **state)
{
    (void)state;
    assert_int_equal(pg_files_put_signal(&work, &place), ERR_OK);
    assert_int_equal(pg_files_note_signal(&work, &place), ERR_OK);
    assert_int_equal(unlink(path), 0);
    assert_false(pg_files_signal_is_noted(&place));
    do {
        assert_int_equal(pg_files_put_signal(&work, &place), ERR_OK);
    } while (pg_files_signal_is_noted(&place));
}

static void test_a_file_that_was_moved_and_brought_back_is_another_one(void **state)
{
    (void)state;
    assert_int_equal(pg_files_put_signal(&work, &place), ERR_OK);
    assert_int_equal(pg_files_note_signal(&work, &place), ERR_OK);
    do {
        assert_int_equal(rename(path, aside), 0);
        assert_false(pg_files_signal_is_noted(&place));
        assert_int_equal(rename(aside, path), 0);
    } while (pg_files_signal_is_noted(&place));
}

static void test_without_a_file_nothing_is_noted(void **state)
{
    (void)state;
    assert_int_equal(pg_files_note_signal(&work, &place), ERR_IO);
    assert_int_equal(symlink("/dev/null", path), 0);
    assert_int_equal(pg_files_note_signal(&work, &place), ERR_IO);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test_setup_teardown(
            test_the_file_that_a_start_put_there_is_known_again, set_up, tear_down),
        cmocka_unit_test_setup_teardown(
            test_a_file_that_was_taken_away_is_another_one, set_up, tear_down),
        cmocka_unit_test_setup_teardown(
            test_a_file_that_was_moved_and_brought_back_is_another_one, set_up, tear_down),
        cmocka_unit_test_setup_teardown(test_without_a_file_nothing_is_noted, set_up, tear_down),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
