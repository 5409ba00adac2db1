/* SPDX-License-Identifier: Apache-2.0 */
/* Goal: what the codec writes reads back, its bytes never change, and no input makes a reader look
 * beyond its end. Method: fixed bytes, every truncation of a record, and random bytes. */
#include "base/buf.h"
#include "base/check.h"
#include "base/mem.h"
#include "base/prng.h"
#include "tests/support/support_seed.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <string.h>

#include <cmocka.h>

static void put_record(struct buf *buf)
{
    buf_put_u8(buf, 0x01);
    buf_put_u8(buf, 0x02);
    buf_put_u8(buf, 0x03);
    buf_put_u32(buf, 0x07060504);
    buf_put_u64(buf, UINT64_C(0x0f0e0d0c0b0a0908));
    buf_put_bytes(buf, slice_of("\x00\xff", 2));
    buf_put_string(buf, "name");
}

static void test_integers_are_little_endian_and_strings_carry_their_length(void **state)
{
    (void)state;
    static const uint8_t expected[] = {0x01, 0x02, 0x03, 0x04, 0x05, 0x06, 0x07, 0x08, 0x09, 0x0a,
                                       0x0b, 0x0c, 0x0d, 0x0e, 0x0f, 2,    0,    0,    0,    0x00,
                                       0xff, 4,    0,    0,    0,    'n',  'a',  'm',  'e'};
    struct buf buf = {0};
    put_record(&buf);
    assert_int_equal(buf.len, sizeof(expected));
    assert_memory_equal(buf.data, expected, sizeof(expected));
    buf_deinit(&buf);
}

static void test_reader_gives_back_what_was_written(void **state)
{
    (void)state;
    struct buf buf = {0};
    char name[5];
    put_record(&buf);

    struct reader reader = reader_of(buf_view(&buf));
    assert_int_equal(reader_u8(&reader), 0x01);
    assert_int_equal(reader_u8(&reader), 0x02);
    assert_int_equal(reader_u8(&reader), 0x03);
    assert_int_equal(reader_u32(&reader), 0x07060504);
    assert_true(reader_u64(&reader) == UINT64_C(0x0f0e0d0c0b0a0908));
    assert_true(slice_equal(reader_bytes(&reader), slice_of("\x00\xff", 2)));
    reader_string(&reader, name, sizeof(name));
    assert_string_equal(name, "name");
    assert_int_equal(reader_finish(&reader), ERR_OK);
    buf_deinit(&buf);
}

static void test_extreme_integers_survive(void **state)
{
    (void)state;
    struct buf buf = {0};
    buf_put_u8(&buf, UINT8_MAX);
    buf_put_u32(&buf, UINT32_MAX);
    buf_put_u64(&buf, UINT64_MAX);
    struct reader reader = reader_of(buf_view(&buf));
    assert_int_equal(reader_u8(&reader), UINT8_MAX);
    assert_int_equal(reader_u32(&reader), UINT32_MAX);
    assert_true(reader_u64(&reader) == UINT64_MAX);
    assert_int_equal(reader_finish(&reader), ERR_OK);
    buf_deinit(&buf);
}

static enum error read_record(struct slice bytes)
{
    char name[5];
    struct reader reader = reader_of(bytes);
    (void)reader_u8(&reader);
    (void)reader_u8(&reader);
    (void)reader_u8(&reader);
    (void)reader_u32(&reader);
    (void)reader_u64(&reader);
    (void)reader_bytes(&reader);
    reader_string(&reader, name, sizeof(name));
    return reader_finish(&reader);
}

static void test_every_truncation_is_corrupt(void **state)
{
    (void)state;
    struct buf buf = {0};
    put_record(&buf);
    for (size_t len = 0; len < buf.len; len++) {
        /* An allocation of exactly these bytes, so that a sanitizer sees a read beyond. */
        uint8_t *exact = mem_dup(buf.data, len);
        assert_int_equal(read_record(slice_of(exact, len)), ERR_CORRUPT);
        mem_free(exact);
    }
    assert_int_equal(read_record(buf_view(&buf)), ERR_OK);
    buf_deinit(&buf);
}

static void test_bytes_left_over_are_corrupt(void **state)
{
    (void)state;
    struct buf buf = {0};
    put_record(&buf);
    buf_put_u8(&buf, 0);
    assert_int_equal(read_record(buf_view(&buf)), ERR_CORRUPT);
    buf_deinit(&buf);
}

static void test_first_failure_sticks_and_later_reads_give_zeros(void **state)
{
    (void)state;
    const uint8_t bytes[] = {7, 7, 7};
    char text[8] = "unset";
    struct reader reader = reader_of(slice_of(bytes, sizeof(bytes)));
    assert_int_equal(reader_u32(&reader), 0);
    assert_int_equal(reader_u8(&reader), 0);
    assert_true(reader_u64(&reader) == 0);
    assert_int_equal(reader_bytes(&reader).len, 0);
    reader_string(&reader, text, sizeof(text));
    assert_string_equal(text, "");
    assert_int_equal(reader.offset, 0);
    assert_int_equal(reader_finish(&reader), ERR_CORRUPT);
}

static void test_length_larger_than_the_input_is_corrupt(void **state)
{
    (void)state;
    const uint8_t bytes[] = {0xff, 0xff, 0xff, 0xff, 'x'};
    struct reader reader = reader_of(slice_of(bytes, sizeof(bytes)));
    assert_int_equal(reader_bytes(&reader).len, 0);
    assert_int_equal(reader_finish(&reader), ERR_CORRUPT);
}

static void test_string_must_fit_with_its_terminator(void **state)
{
    (void)state;
    struct buf buf = {0};
    char fits[5];
    char small[4];
    buf_put_string(&buf, "name");
    memset(fits, 'x', sizeof(fits));

    struct reader reader = reader_of(buf_view(&buf));
    reader_string(&reader, fits, sizeof(fits));
    assert_int_equal(reader_finish(&reader), ERR_OK);
    reader = reader_of(buf_view(&buf));
    reader_string(&reader, small, sizeof(small));
    assert_string_equal(small, "");
    assert_int_equal(reader_finish(&reader), ERR_CORRUPT);
    buf_deinit(&buf);
}

static void test_string_with_a_nul_inside_is_corrupt(void **state)
{
    (void)state;
    struct buf buf = {0};
    char text[8];
    buf_put_bytes(&buf, slice_of("a\0b", 3));
    struct reader reader = reader_of(buf_view(&buf));
    reader_string(&reader, text, sizeof(text));
    assert_string_equal(text, "");
    assert_int_equal(reader_finish(&reader), ERR_CORRUPT);
    buf_deinit(&buf);
}

static void test_empty_strings_and_bytes_are_fine(void **state)
{
    (void)state;
    struct buf buf = {0};
    char text[1];
    buf_put_string(&buf, "");
    buf_put_bytes(&buf, (struct slice){0});
    struct reader reader = reader_of(buf_view(&buf));
    reader_string(&reader, text, sizeof(text));
    assert_string_equal(text, "");
    assert_int_equal(reader_bytes(&reader).len, 0);
    assert_int_equal(reader_finish(&reader), ERR_OK);
    buf_deinit(&buf);
}

static void test_decoder_can_refuse_a_value(void **state)
{
    (void)state;
    const uint8_t byte = 9;
    struct reader reader = reader_of(slice_of(&byte, 1));
    if (reader_u8(&reader) > 8) {
        reader_fail(&reader);
    }
    assert_int_equal(reader_finish(&reader), ERR_CORRUPT);
}

static void test_no_random_input_is_read_beyond_its_end(void **state)
{
    (void)state;
    struct prng prng;
    prng_init(&prng, support_seed());
    for (int round = 0; round < 20000; round++) {
        size_t len = (size_t)prng_below(&prng, 40);
        uint8_t *bytes = mem_new(len);
        for (size_t i = 0; i < len; i++) {
            /* Small bytes, so that lengths are often nearly right. */
            bytes[i] = (uint8_t)prng_below(&prng, prng_chance(&prng, 500) ? 6 : 256);
        }
        struct reader reader = reader_of(slice_of(bytes, len));
        for (int step = 0; step < 8; step++) {
            char text[6];
            switch (prng_below(&prng, 4)) {
            case 0:
                (void)reader_u32(&reader);
                break;
            case 1:
                (void)reader_u64(&reader);
                break;
            case 2: {
                struct slice got = reader_bytes(&reader);
                assert_true(got.len == 0 || (got.data >= bytes && got.len <= len &&
                                             got.data + got.len <= bytes + len));
                break;
            }
            default:
                reader_string(&reader, text, sizeof(text));
                assert_true(strlen(text) < sizeof(text));
                break;
            }
            assert_true(reader.offset <= len);
        }
        mem_free(bytes);
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_integers_are_little_endian_and_strings_carry_their_length),
        cmocka_unit_test(test_reader_gives_back_what_was_written),
        cmocka_unit_test(test_extreme_integers_survive),
        cmocka_unit_test(test_every_truncation_is_corrupt),
        cmocka_unit_test(test_bytes_left_over_are_corrupt),
        cmocka_unit_test(test_first_failure_sticks_and_later_reads_give_zeros),
        cmocka_unit_test(test_length_larger_than_the_input_is_corrupt),
        cmocka_unit_test(test_string_must_fit_with_its_terminator),
        cmocka_unit_test(test_string_with_a_nul_inside_is_corrupt),
        cmocka_unit_test(test_empty_strings_and_bytes_are_fine),
        cmocka_unit_test(test_decoder_can_refuse_a_value),
        cmocka_unit_test(test_no_random_input_is_read_beyond_its_end),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
