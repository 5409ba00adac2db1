/* SPDX-License-Identifier: Apache-2.0 */
/* Goal: what programs read of `--json` is what the message holds. Method: messages with values at
 * their limits, compared as text. */
#include "cmd/json_out.h"
#include "indaba/v1/cluster.pb-c.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <string.h>

#include <cmocka.h>

static void test_64_bit_integers_are_decimal_strings_and_never_negative(void **state)
{
    (void)state;
    Indaba__V1__MemberStatus status = INDABA__V1__MEMBER_STATUS__INIT;
    struct buf out = {0};
    char name[] = "voter";
    status.core = name;
    status.state_hash = UINT64_C(0xf000000000000001);

    json_out_message(&status.base, &out);

    buf_append(&out, "", 1);
    assert_non_null(strstr((const char *)out.data, "\"state_hash\": \"17293822569102704641\""));
    assert_non_null(strstr((const char *)out.data, "\"core\": \"voter\""));
    buf_deinit(&out);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_64_bit_integers_are_decimal_strings_and_never_negative),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
