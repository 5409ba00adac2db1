/* SPDX-License-Identifier: Apache-2.0 */
/* Goal: whatever the path of a configuration leads to, it is read whole or refused with a text that
 * names it, and never more than the bound is kept. */
#include "config/config_file.h"
#include "tests/support/support_tmpdir.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <string.h>
#include <sys/stat.h>

#include <cmocka.h>

enum {
    PATH_SIZE = 256,
    ERRMSG_SIZE = 512,
};

static void make_file(char *path, const char *name, size_t len)
{
    (void)snprintf(path, PATH_SIZE, "%s/%s", support_tmpdir("config"), name);
    FILE *file = fopen(path, "w");
    assert_non_null(file);
    for (size_t i = 0; i < len; i++) {
        assert_int_equal(fputc('a' + (int)(i % 26), file), 'a' + (int)(i % 26));
    }
    assert_int_equal(fclose(file), 0);
}

static void refuses(const char *path, enum error expected, const char *word)
{
    struct reason reason = {0};
    struct buf text = {0};
    assert_int_equal(config_file_read(path, &reason, &text), expected);
    assert_non_null(strstr(reason.text, path));
    assert_non_null(strstr(reason.text, word));
    assert_true(text.len <= CONFIG_FILE_MAX);
    buf_deinit(&text);
}

static void test_a_file_of_the_largest_size_is_read_whole_and_one_byte_more_refused(void **state)
{
    char path[PATH_SIZE];
    struct reason reason = {0};
    struct buf text = {0};
    (void)state;
    make_file(path, "largest.yaml", CONFIG_FILE_MAX);
    assert_int_equal(config_file_read(path, &reason, &text), ERR_OK);
    assert_int_equal(text.len, CONFIG_FILE_MAX);
    assert_int_equal(text.data[CONFIG_FILE_MAX - 1], 'a' + (CONFIG_FILE_MAX - 1) % 26);
    buf_deinit(&text);

    make_file(path, "larger.yaml", CONFIG_FILE_MAX + 1);
    refuses(path, ERR_LIMIT, "256 KiB");
}

static void test_an_empty_file_is_refused(void **state)
{
    char path[PATH_SIZE];
    (void)state;
    make_file(path, "empty.yaml", 0);
    refuses(path, ERR_CONFIG, "empty");
}

static void test_what_is_no_file_is_refused_without_waiting_for_it(void **state)
{
    char path[PATH_SIZE];
    (void)state;
    (void)snprintf(path, sizeof(path), "%s/pipe", support_tmpdir("config-pipe"));
    assert_int_equal(mkfifo(path, 0600), 0);
    refuses(path, ERR_CONFIG, "not a regular file");
    refuses("/dev/zero", ERR_CONFIG, "not a regular file");
    refuses("/nothing-here", ERR_NOT_FOUND, "No such file");
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_a_file_of_the_largest_size_is_read_whole_and_one_byte_more_refused),
        cmocka_unit_test(test_an_empty_file_is_refused),
        cmocka_unit_test(test_what_is_no_file_is_refused_without_waiting_for_it),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
