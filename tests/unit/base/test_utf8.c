/* SPDX-License-Identifier: Apache-2.0 */
/* Goal: any bytes become UTF-8 of the same length, and UTF-8 stays as it is. */
#include "base/utf8.h"

#include "base/prng.h"
#include "tests/support/support_seed.h"

#include <string.h>

/* cmocka.h needs these before it. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>

#include <cmocka.h>

static void expect(const char *text, const char *mended)
{
    char bytes[64];
    size_t len = strlen(text);
    memcpy(bytes, text, len + 1);
    utf8_mend((uint8_t *)bytes, len);
    assert_string_equal(bytes, mended);
}

static void test_what_is_of_no_character_becomes_a_question_mark(void **state)
{
    (void)state;
    expect("", "");
    expect("Zürich, 北京, 🙂\n", "Zürich, 北京, 🙂\n");
    expect("cut \xf0\x9f\x99", "cut ???");
    expect("\x80M\xfcller", "?M?ller");
    expect("\xc3\xc3\xbc", "?\xc3\xbc");
    expect("overlong \xc0\xaf", "overlong ??");
    expect("surrogate \xed\xa0\x80", "surrogate ???");
    expect("too large \xf4\x90\x80\x80", "too large ????");
}

static void test_any_bytes_are_utf8_afterwards(void **state)
{
    (void)state;
    struct prng prng;
    prng_init(&prng, support_seed());
    for (int run = 0; run < 20000; run++) {
        uint8_t bytes[12];
        for (size_t i = 0; i < sizeof(bytes); i++) {
            bytes[i] = (uint8_t)(prng_below(&prng, 3) == 0 ? prng_below(&prng, 128)
                                                           : 128 + prng_below(&prng, 128));
        }
        utf8_mend(bytes, sizeof(bytes));
        for (size_t i = 0; i < sizeof(bytes);) {
            uint32_t code = 0;
            size_t whole = utf8_character(bytes + i, sizeof(bytes) - i, &code);
            assert_in_range(whole, 1, 4);
            i += whole;
        }
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_what_is_of_no_character_becomes_a_question_mark),
        cmocka_unit_test(test_any_bytes_are_utf8_afterwards),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
