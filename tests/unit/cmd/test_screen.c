/* SPDX-License-Identifier: Apache-2.0 */
/* Goal: every string of an answer can be shown, wherever in it it stands. Method: one message with
 * strings at its top, in a message within, in a list and beside a choice. */
#include "cmd/screen.h"
#include "indaba/v1/cluster.pb-c.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <string.h>

#include <cmocka.h>

static void test_strings_at_every_depth_can_be_shown(void **state)
{
    (void)state;
    struct wire_arena arena;
    wire_arena_init(&arena, 65536);
    char note[] = "a\nb";
    char name[] = "\x1b]0;x\x07";
    char plain[] = "Zürich";
    Indaba__V1__Member member = INDABA__V1__MEMBER__INIT;
    member.name = name;
    member.region = plain;
    Indaba__V1__MemberStatus status = INDABA__V1__MEMBER_STATUS__INIT;
    status.member = &member;
    status.note = note;
    Indaba__V1__MemberStatus *statuses[] = {&status};
    Indaba__V1__GetMembersResponse response = INDABA__V1__GET_MEMBERS_RESPONSE__INIT;
    response.members = statuses;
    response.n_members = 1;
    response.timers_note = note;

    screen_message(&response.base, &arena);

    assert_string_equal(response.timers_note, "a\\nb");
    assert_string_equal(status.note, "a\\nb");
    assert_string_equal(member.name, "\\x1b]0;x\\x07");
    assert_ptr_equal(member.region, plain);
    assert_string_equal(note, "a\nb");
    wire_arena_deinit(&arena);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_strings_at_every_depth_can_be_shown),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
