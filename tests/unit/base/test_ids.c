/* SPDX-License-Identifier: Apache-2.0 */
/* Goal: identities read back as written, order totally, and do not repeat. Method: known texts,
 * malformed ones, and many random draws. */
#include "base/ids.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

static void test_text_form_is_32_lower_case_hex_digits(void **state)
{
    (void)state;
    char text[ID128_TEXT_SIZE];
    assert_string_equal(id128_format(UINT64_C(0x0123456789abcdef), 0xf, text),
                        "0123456789abcdef000000000000000f");
    assert_string_equal(id128_format(0, 0, text), "00000000000000000000000000000000");
    assert_string_equal(id128_format(UINT64_MAX, UINT64_MAX, text),
                        "ffffffffffffffffffffffffffffffff");
}

static void test_text_reads_back(void **state)
{
    (void)state;
    char text[ID128_TEXT_SIZE];
    uint64_t hi;
    uint64_t lo;
    uint64_t read_hi = 0;
    uint64_t read_lo = 0;
    for (int i = 0; i < 100; i++) {
        id128_random(&hi, &lo);
        assert_int_equal(id128_parse(id128_format(hi, lo, text), &read_hi, &read_lo), ERR_OK);
        assert_true(read_hi == hi && read_lo == lo);
    }
    assert_int_equal(id128_parse("0123456789ABCDEF000000000000000F", &read_hi, &read_lo), ERR_OK);
    assert_true(read_hi == UINT64_C(0x0123456789abcdef) && read_lo == 0xf);
}

static void test_anything_else_is_refused_and_leaves_the_result_alone(void **state)
{
    (void)state;
    static const char *const bad[] = {
        "",
        "0",
        "0123456789abcdef000000000000000",
        "0123456789abcdef0000000000000000f",
        "0123456789abcdef00000000000000g0",
        "g123456789abcdef0000000000000000",
        "0x23456789abcdef0000000000000000",
        " 123456789abcdef0000000000000000",
        "-123456789abcdef0000000000000000",
        "01234567-89ab-cdef-0000-00000000",
    };
    uint64_t hi = 1;
    uint64_t lo = 2;
    for (size_t i = 0; i < sizeof(bad) / sizeof(bad[0]); i++) {
        assert_int_equal(id128_parse(bad[i], &hi, &lo), ERR_INVALID);
        assert_true(hi == 1 && lo == 2);
    }
}

static void test_random_ids_do_not_repeat(void **state)
{
    (void)state;
    uint64_t seen[1000];
    uint64_t lo;
    for (size_t i = 0; i < 1000; i++) {
        id128_random(&seen[i], &lo);
        for (size_t j = 0; j < i; j++) {
            assert_true(seen[i] != seen[j]);
        }
    }
}

static void test_request_ids_are_uuids_of_version_7_and_hold_their_time(void **state)
{
    (void)state;
    static const uint64_t walls[] = {0, 1, UINT64_C(1795230000123), (UINT64_C(1) << 48) - 1};
    for (size_t i = 0; i < sizeof(walls) / sizeof(walls[0]); i++) {
        struct request_id id = request_id_new(walls[i]);
        assert_true(request_id_wall_ms(id) == walls[i]);
        assert_int_equal(id.hi >> 12 & 0xf, 7);
        assert_int_equal(id.lo >> 62, 2);
    }
}

static void test_request_ids_of_one_moment_differ(void **state)
{
    (void)state;
    struct request_id first = request_id_new(1000);
    struct request_id second = request_id_new(1000);
    assert_true(first.hi != second.hi || first.lo != second.lo);
}

static void test_member_ids_are_ordered_by_high_then_low(void **state)
{
    (void)state;
    struct member_id a = {.hi = 1, .lo = UINT64_MAX};
    struct member_id b = {.hi = 2, .lo = 0};
    struct member_id c = {.hi = 2, .lo = UINT64_MAX};
    assert_true(member_id_compare(a, b) < 0);
    assert_true(member_id_compare(b, a) > 0);
    assert_true(member_id_compare(b, c) < 0);
    assert_int_equal(member_id_compare(c, c), 0);
    assert_true(member_id_equal(c, c));
    assert_false(member_id_equal(b, c));
    assert_false(member_id_equal(a, c));
    assert_true(member_id_is_none((struct member_id){0}));
    assert_false(member_id_is_none(a));
    assert_false(member_id_is_none((struct member_id){.lo = 1}));
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_text_form_is_32_lower_case_hex_digits),
        cmocka_unit_test(test_text_reads_back),
        cmocka_unit_test(test_anything_else_is_refused_and_leaves_the_result_alone),
        cmocka_unit_test(test_random_ids_do_not_repeat),
        cmocka_unit_test(test_request_ids_are_uuids_of_version_7_and_hold_their_time),
        cmocka_unit_test(test_request_ids_of_one_moment_differ),
        cmocka_unit_test(test_member_ids_are_ordered_by_high_then_low),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
