/* SPDX-License-Identifier: Apache-2.0 */
/* Goal: a small file is read as it was written, or refused: damaged, cut, longer, of another kind
 * or of a version that is not known. */
#include "base/sealed.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

static const struct sealed_format OURS = {
    .magic = 0x1122334455667788,
    .magic_size = 8,
    .oldest = 2,
    .newest = 3,
    .size_max = 64,
};

static void write_file(const struct sealed_format *format, struct buf *out)
{
    sealed_begin(format, out);
    buf_put_u32(out, 42);
    sealed_end(format, out);
}

static void test_the_fields_come_back_with_their_version(void **state)
{
    struct buf file = {0};
    struct reader fields;
    uint32_t version = 0;
    (void)state;
    write_file(&OURS, &file);

    assert_int_equal(sealed_open(&OURS, buf_view(&file), &version, &fields), ERR_OK);

    assert_int_equal(version, 3);
    assert_int_equal(reader_u32(&fields), 42);
    assert_int_equal(reader_finish(&fields), ERR_OK);
    buf_deinit(&file);
}

static void test_any_change_is_found(void **state)
{
    struct buf file = {0};
    struct reader fields;
    uint32_t version = 0;
    (void)state;
    write_file(&OURS, &file);

    for (size_t bit = 0; bit < file.len * 8; bit++) {
        file.data[bit / 8] ^= (uint8_t)(1U << bit % 8);
        assert_int_equal(sealed_open(&OURS, buf_view(&file), &version, &fields), ERR_CORRUPT);
        file.data[bit / 8] ^= (uint8_t)(1U << bit % 8);
    }
    for (size_t len = 0; len < file.len; len++) {
        struct slice part = slice_of(file.data, len);
        assert_int_equal(sealed_open(&OURS, part, &version, &fields), ERR_CORRUPT);
    }
    buf_put_u8(&file, 0);
    assert_int_equal(sealed_open(&OURS, buf_view(&file), &version, &fields), ERR_CORRUPT);
    buf_deinit(&file);
}

static void test_other_kinds_and_other_versions_are_told_apart(void **state)
{
    struct sealed_format other = OURS;
    struct reader fields;
    uint32_t version = 0;
    struct buf file = {0};
    (void)state;

    other.newest = 4;
    write_file(&other, &file);
    assert_int_equal(sealed_open(&OURS, buf_view(&file), &version, &fields), ERR_VERSION);
    other.newest = 1;
    buf_clear(&file);
    write_file(&other, &file);
    assert_int_equal(sealed_open(&OURS, buf_view(&file), &version, &fields), ERR_VERSION);
    other.newest = 2;
    buf_clear(&file);
    write_file(&other, &file);
    assert_int_equal(sealed_open(&OURS, buf_view(&file), &version, &fields), ERR_OK);
    assert_int_equal(version, 2);
    other.magic = 1;
    buf_clear(&file);
    write_file(&other, &file);
    assert_int_equal(sealed_open(&OURS, buf_view(&file), &version, &fields), ERR_CORRUPT);
    buf_deinit(&file);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_the_fields_come_back_with_their_version),
        cmocka_unit_test(test_any_change_is_found),
        cmocka_unit_test(test_other_kinds_and_other_versions_are_told_apart),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
