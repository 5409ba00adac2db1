/* SPDX-License-Identifier: Apache-2.0 */
/* The file of those a person vouched for. Goal: what was written is read, a damaged file is refused
 * and never misread, the list is bounded. Method: a fault disk, every byte of a file changed. */
#include "storage/vouch_file.h"

#include "tests/support/fault_disk.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdio.h>
#include <string.h>

#include <cmocka.h>

static struct vouch make(uint64_t number)
{
    struct vouch vouch = {.id = {.hi = number, .lo = 2}, .wall_ms = 3};
    (void)snprintf(vouch.name, sizeof(vouch.name), "n%d", (int)number);
    (void)snprintf(vouch.by, sizeof(vouch.by), "alice");
    (void)snprintf(vouch.reason, sizeof(vouch.reason), "I added it");
    return vouch;
}

static void test_what_was_written_is_read(void **state)
{
    (void)state;
    struct fault_disk *fault = fault_disk_new(1);
    const struct disk *disk = fault_disk_ops(fault);
    struct reason reason = {0};
    struct vouches wrote = {0};
    struct vouches got;
    const struct vouch one = make(1);
    const struct vouch two = make(2);
    assert_int_equal(vouch_file_read(disk, "d", &reason, &got), ERR_OK);
    assert_int_equal(got.count, 0);
    assert_int_equal(vouches_add(&wrote, &one), ERR_OK);
    assert_int_equal(vouches_add(&wrote, &two), ERR_OK);

    assert_int_equal(vouch_file_write(disk, "d", &wrote, &reason), ERR_OK);

    assert_int_equal(vouch_file_read(disk, "d", &reason, &got), ERR_OK);
    assert_int_equal(got.count, 2);
    assert_string_equal(got.items[1].name, "n2");
    assert_string_equal(got.items[1].by, "alice");
    assert_string_equal(got.items[1].reason, "I added it");
    assert_true(member_id_equal(got.items[1].id, two.id));
    fault_disk_free(fault);
}

static void test_a_changed_byte_is_refused(void **state)
{
    (void)state;
    struct fault_disk *fault = fault_disk_new(1);
    const struct disk *disk = fault_disk_ops(fault);
    struct reason reason = {0};
    struct vouches wrote = {0};
    struct vouches got;
    const struct vouch one = make(1);
    uint64_t size = 0;
    int file;
    assert_int_equal(vouches_add(&wrote, &one), ERR_OK);
    assert_int_equal(vouch_file_write(disk, "d", &wrote, &reason), ERR_OK);
    assert_int_equal(disk->open(disk->ctx, "d/vouched", DISK_OPEN_EXISTING, &file), ERR_OK);
    assert_int_equal(disk->size(disk->ctx, file, &size), ERR_OK);

    for (uint64_t at = 0; at < size; at++) {
        uint8_t byte = 0;
        assert_int_equal(disk->read(disk->ctx, file, &byte, 1, at), ERR_OK);
        uint8_t other = byte ^ 1;
        assert_int_equal(disk->write(disk->ctx, file, &other, 1, at), ERR_OK);
        assert_int_not_equal(vouch_file_read(disk, "d", &reason, &got), ERR_OK);
        assert_non_null(strstr(reason.text, "d/vouched"));
        assert_int_equal(disk->write(disk->ctx, file, &byte, 1, at), ERR_OK);
    }
    assert_int_equal(vouch_file_read(disk, "d", &reason, &got), ERR_OK);
    disk->close(disk->ctx, file);
    fault_disk_free(fault);
}

static void test_a_name_is_there_once_and_the_list_has_an_end(void **state)
{
    (void)state;
    struct vouches vouches = {0};
    for (uint64_t i = 0; i < VOUCHES_MAX; i++) {
        const struct vouch vouch = make(i);
        assert_int_equal(vouches_add(&vouches, &vouch), ERR_OK);
    }
    struct vouch again = make(3);
    again.id.lo = 77;
    const struct vouch more = make(VOUCHES_MAX);

    assert_int_equal(vouches_add(&vouches, &again), ERR_OK);
    assert_int_equal(vouches.count, VOUCHES_MAX);
    assert_int_equal(vouches.items[3].id.lo, 77);
    assert_int_equal(vouches_add(&vouches, &more), ERR_EXHAUSTED);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_what_was_written_is_read),
        cmocka_unit_test(test_a_changed_byte_is_refused),
        cmocka_unit_test(test_a_name_is_there_once_and_the_list_has_an_end),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
