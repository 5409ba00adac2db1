/* SPDX-License-Identifier: Apache-2.0 */
/* Lines of pg_hba.conf. Goal: what PostgreSQL would refuse at its next start is refused when it is
 * written, and nothing that it takes. */
#include "config/pg_hba.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <string.h>

#include <cmocka.h>

static void test_lines_that_postgresql_takes_are_taken(void **state)
{
    static const char *const GOOD[] = {
        "",
        "# a comment\n\nhost all all all scram-sha-256\n",
        "host all all 10.0.0.0/8 scram-sha-256",
        "hostssl \"my db\",other  +app, web  10.0.0.0 255.0.0.0 cert clientcert=verify-full map=x",
        "host all all fd00::/16 md5 # trailing",
        "hostnossl sameuser all samenet reject",
        "host all all .example.org trust",
        "local all all peer map=indaba",
    };
    struct reason reason = {0};
    (void)state;
    for (size_t i = 0; i < sizeof(GOOD) / sizeof(GOOD[0]); i++) {
        assert_int_equal(pg_hba_check(GOOD[i], &reason), ERR_OK);
    }
}

static void assert_refused(const char *text, const char *said)
{
    struct reason reason = {0};

    assert_int_equal(pg_hba_check(text, &reason), ERR_CONFIG);
    assert_non_null(strstr(reason.text, said));
}

static void test_lines_that_would_stop_a_start_are_refused_with_what_is_wrong(void **state)
{
    char longest[2000];
    (void)state;
    assert_refused("host all all 10.0.0.0/8 scram", "no such authentication method");
    assert_refused("host all all all trust\nhots all all all trust\n", "begins with neither");
    assert_refused("host all all 10.0.0.0/33 trust", "no such mask");
    assert_refused("host all all 10.0.0/8 trust", "no such address");
    assert_refused("host all all 10.0.0.0 trust", "needs a mask");
    assert_refused("host all all 10.0.0.0/8", "method is missing");
    assert_refused("host all all", "address is missing");
    assert_refused("local all", "method is missing");
    memset(longest, 'a', sizeof(longest) - 1);
    longest[sizeof(longest) - 1] = '\0';
    assert_refused(longest, "too long");
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_lines_that_postgresql_takes_are_taken),
        cmocka_unit_test(test_lines_that_would_stop_a_start_are_refused_with_what_is_wrong),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
