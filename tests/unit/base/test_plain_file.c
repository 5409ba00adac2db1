/* SPDX-License-Identifier: Apache-2.0 */
/* Goal: what is no file is refused without waiting for anybody, and no file is read beyond its
 * bound. Method: files, pipes, sockets, folders and devices in a folder of the test. */
#include "base/plain_file.h"
#include "tests/support/support_tmpdir.h"

#include <fcntl.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdio.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/un.h>
#include <unistd.h>

#include <cmocka.h>

static char path[256];

static void in(const char *dir, const char *name)
{
    (void)snprintf(path, sizeof(path), "%s/%s", dir, name);
}

static void test_what_is_no_file_is_refused_at_once(void **state)
{
    (void)state;
    static const int FLAGS[] = {O_RDONLY, O_WRONLY | O_APPEND, O_RDWR, O_RDWR | O_CREAT};
    const char *dir = support_tmpdir("plain-file");
    in(dir, "pipe");
    assert_int_equal(mkfifo(path, 0600), 0);
    for (size_t i = 0; i < sizeof(FLAGS) / sizeof(FLAGS[0]); i++) {
        int fd = -1;
        assert_int_equal(plain_file_open(path, FLAGS[i], 0600, &fd), ERR_NOT_REGULAR);
        assert_int_equal(fd, -1);
    }
    int fd = -1;
    assert_int_equal(plain_file_open("/dev/null", O_RDWR, 0, &fd), ERR_NOT_REGULAR);
    assert_int_equal(plain_file_open(dir, O_RDONLY, 0, &fd), ERR_NOT_REGULAR);
    in(dir, "socket");
    struct sockaddr_un address = {.sun_family = AF_UNIX};
    assert_true(strlen(path) < sizeof(address.sun_path));
    (void)snprintf(address.sun_path, sizeof(address.sun_path), "%s", path);
    int listener = socket(AF_UNIX, SOCK_STREAM, 0);
    assert_int_equal(
        bind(listener, (const struct sockaddr *)(const void *)&address, sizeof(address)), 0);
    assert_int_equal(plain_file_open(path, O_RDONLY, 0, &fd), ERR_NOT_REGULAR);
    (void)close(listener);
    in(dir, "nothing");
    assert_int_equal(plain_file_open(path, O_RDONLY, 0, &fd), ERR_NOT_FOUND);
}

static void test_a_file_is_read_whole_and_not_beyond_its_bound(void **state)
{
    (void)state;
    const char *dir = support_tmpdir("plain-file");
    struct buf out = {0};
    int fd = -1;
    in(dir, "file");
    assert_int_equal(plain_file_open(path, O_WRONLY | O_CREAT, 0600, &fd), ERR_OK);
    assert_int_equal(write(fd, "five!", 5), 5);
    (void)close(fd);
    buf_append_string(&out, "<");
    assert_int_equal(plain_file_read(path, 4, &out), ERR_LIMIT);
    assert_int_equal(out.len, 1);
    assert_int_equal(plain_file_read(path, 5, &out), ERR_OK);
    assert_int_equal(out.len, 6);
    assert_memory_equal(out.data, "<five!", 6);
    buf_deinit(&out);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_what_is_no_file_is_refused_at_once),
        cmocka_unit_test(test_a_file_is_read_whole_and_not_beyond_its_bound),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
