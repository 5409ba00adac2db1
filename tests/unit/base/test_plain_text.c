/* SPDX-License-Identifier: Apache-2.0 */
/* Goal: nothing that others wrote acts on a terminal, and what can be read stays as it is. Method:
 * texts and their appearance, then every single byte. */
#include "base/plain_text.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdio.h>
#include <string.h>

#include <cmocka.h>

static void expect(const char *text, const char *shown)
{
    struct buf out = {0};
    plain_text_append(&out, text, strlen(text));
    assert_int_equal(out.len, strlen(shown));
    assert_memory_equal(out.data, shown, out.len);
    assert_int_equal(plain_text_is(text, strlen(text)), strcmp(text, shown) == 0);
    buf_deinit(&out);
}

static void test_what_can_be_read_stays_as_it_is(void **state)
{
    (void)state;
    expect("done: 5 of 6 \\ 'ok'", "done: 5 of 6 \\ 'ok'");
    expect("Zürich, 北京, 🙂", "Zürich, 北京, 🙂");
}

static void test_what_acts_on_a_terminal_is_written_out(void **state)
{
    (void)state;
    expect("a\nb\tc\r", "a\\nb\\tc\\x0d");
    expect("\x1b[2J\x7f", "\\x1b[2J\\x7f");
    expect("\xc2\x9b"
           "31m",
           "\\xc2\\x9b31m"); /* CSI as one character of C1 */
    expect("\xe2\x80\xae"
           "x",
           "\\xe2\\x80\\xaex"); /* right to left from here on */
    expect("\xe2\x81\xa7\xe2\x80\xa8", "\\xe2\\x81\\xa7\\xe2\\x80\\xa8");
}

static void test_bytes_that_are_no_text_are_written_out(void **state)
{
    (void)state;
    expect("\xff\x80", "\\xff\\x80");
    expect("\xc3", "\\xc3");                   /* cut */
    expect("\xc0\x8a", "\\xc0\\x8a");          /* a line feed, longer than it need be */
    expect("\xed\xa0\x80", "\\xed\\xa0\\x80"); /* half a pair */
    expect("\xf4\x90\x80\x80", "\\xf4\\x90\\x80\\x80");
    for (int byte = 1; byte < 256; byte++) {
        char text[2] = {(char)byte, '\0'};
        assert_int_equal(plain_text_is(text, 1), byte >= 0x20 && byte < 0x7f);
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_what_can_be_read_stays_as_it_is),
        cmocka_unit_test(test_what_acts_on_a_terminal_is_written_out),
        cmocka_unit_test(test_bytes_that_are_no_text_are_written_out),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
