/* SPDX-License-Identifier: Apache-2.0 */
/* Goal: the mark of a quarantine is there whole or not at all, whatever is cut off or flipped.
 * Method: a disk in memory that loses, tears and flips. */
#include "tests/unit/storage/storage_test.h"

#include "storage/quarantine_mark.h"
#include "tests/support/fault_disk.h"

#include <string.h>

static const char *const FOLDER = "member";
static const char *const PATH = "member/quarantine";

static const struct quarantine_mark MARK = {.index = 42, .ours = 1, .theirs = UINT64_MAX};

static enum error read_mark(struct fault_disk *fault, struct quarantine_mark *mark_out)
{
    struct reason reason = {0};
    enum error error = quarantine_mark_read(fault_disk_ops(fault), FOLDER, &reason, mark_out);
    assert_true(error == ERR_OK || strstr(reason.text, PATH) != NULL);
    return error;
}

static enum error write_mark(struct fault_disk *fault, const struct quarantine_mark *mark)
{
    struct reason reason = {0};
    return quarantine_mark_write(fault_disk_ops(fault), FOLDER, mark, &reason);
}

static bool is_same(const struct quarantine_mark *one, const struct quarantine_mark *other)
{
    return one->index == other->index && one->ours == other->ours && one->theirs == other->theirs &&
           one->rebuilt == other->rebuilt;
}

static void test_a_mark_comes_back_as_it_was_written(void **state)
{
    (void)state;
    struct fault_disk *fault = fault_disk_new(1);
    struct quarantine_mark mark;
    assert_int_equal(read_mark(fault, &mark), ERR_NOT_FOUND);
    assert_int_equal(write_mark(fault, &MARK), ERR_OK);
    assert_int_equal(read_mark(fault, &mark), ERR_OK);
    assert_true(is_same(&mark, &MARK));
    fault_disk_free(fault);
}

static void test_a_removed_mark_does_not_come_back_with_the_power(void **state)
{
    (void)state;
    struct fault_disk *fault = fault_disk_new(1);
    struct quarantine_mark mark;
    struct reason reason = {0};
    assert_int_equal(write_mark(fault, &MARK), ERR_OK);
    assert_int_equal(quarantine_mark_remove(fault_disk_ops(fault), FOLDER, &reason), ERR_OK);
    fault_disk_crash(fault);
    assert_int_equal(read_mark(fault, &mark), ERR_NOT_FOUND);
    assert_int_equal(quarantine_mark_remove(fault_disk_ops(fault), FOLDER, &reason), ERR_OK);
    fault_disk_free(fault);
}

static void test_a_power_cut_at_any_step_leaves_the_old_mark_or_the_new(void **state)
{
    (void)state;
    const struct quarantine_mark rebuilt = {
        .index = 42, .ours = 1, .theirs = UINT64_MAX, .rebuilt = true};
    uint64_t seed = test_seed(20261121);
    bool done = false;
    for (uint64_t step = 1; !done; step++) {
        struct fault_disk *fault = fault_disk_new(seed + step);
        struct quarantine_mark mark;
        assert_int_equal(write_mark(fault, &MARK), ERR_OK);
        fault_disk_fail_nth(fault, step, ERR_IO);
        done = write_mark(fault, &rebuilt) == ERR_OK;
        fault_disk_crash(fault);
        assert_int_equal(read_mark(fault, &mark), ERR_OK);
        assert_true(is_same(&mark, &rebuilt) || (!done && is_same(&mark, &MARK)));
        fault_disk_free(fault);
    }
}

static void test_a_flipped_bit_anywhere_in_a_mark_is_found(void **state)
{
    (void)state;
    struct fault_disk *fault = fault_disk_new(1);
    struct quarantine_mark mark;
    assert_int_equal(write_mark(fault, &MARK), ERR_OK);
    size_t size = fault_disk_view(fault, PATH).len;
    for (size_t bit = 0; bit < 8 * size; bit++) {
        uint8_t mask = (uint8_t)(1U << bit % 8);
        fault_disk_flip(fault, PATH, bit / 8, mask);
        enum error error = read_mark(fault, &mark);
        assert_true(error == ERR_CORRUPT || error == ERR_VERSION);
        fault_disk_flip(fault, PATH, bit / 8, mask);
    }
    assert_int_equal(read_mark(fault, &mark), ERR_OK);
    fault_disk_free(fault);
}

static void test_a_mark_that_is_too_short_or_too_long_is_refused(void **state)
{
    (void)state;
    struct fault_disk *fault = fault_disk_new(1);
    struct quarantine_mark mark;
    struct buf bytes = {0};
    assert_int_equal(write_mark(fault, &MARK), ERR_OK);
    struct slice whole = fault_disk_view(fault, PATH);
    buf_append(&bytes, whole.data, whole.len);
    buf_put_u8(&bytes, 0);
    fault_disk_put(fault, PATH, buf_view(&bytes));
    assert_int_equal(read_mark(fault, &mark), ERR_CORRUPT);
    fault_disk_put(fault, PATH, slice_of(bytes.data, bytes.len - 2));
    assert_int_equal(read_mark(fault, &mark), ERR_CORRUPT);
    fault_disk_put(fault, PATH, slice_of("", 0));
    assert_int_equal(read_mark(fault, &mark), ERR_CORRUPT);
    buf_deinit(&bytes);
    fault_disk_free(fault);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_a_mark_comes_back_as_it_was_written),
        cmocka_unit_test(test_a_removed_mark_does_not_come_back_with_the_power),
        cmocka_unit_test(test_a_power_cut_at_any_step_leaves_the_old_mark_or_the_new),
        cmocka_unit_test(test_a_flipped_bit_anywhere_in_a_mark_is_found),
        cmocka_unit_test(test_a_mark_that_is_too_short_or_too_long_is_refused),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
