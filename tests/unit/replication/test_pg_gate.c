/* SPDX-License-Identifier: Apache-2.0 */
/* The list of libraries into which the commit gate goes, and the page that it reads. */
#include "gate/gate_page.h"
#include "replication/postgres/pg_gate.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdio.h>
#include <string.h>

#include <cmocka.h>

static void list_is(const char *configured, const char *library, const char *wanted)
{
    char list[PG_TEXT_SIZE];

    assert_int_equal(pg_gate_list(configured, library, list), ERR_OK);
    assert_string_equal(list, wanted);
}

static void test_libraries_of_the_user_keep_their_order_and_come_first(void **state)
{
    (void)state;
    list_is("", "/a b/indaba_gate.so", "\"/a b/indaba_gate.so\"");
    list_is("citus, pg_stat_statements",
            "/i/indaba_gate.so",
            "citus, pg_stat_statements, \"/i/indaba_gate.so\"");
    list_is("\"/x, y/z\",auth_delay", NULL, "\"/x, y/z\", auth_delay");
}

static void test_a_gate_of_another_folder_gives_way(void **state)
{
    (void)state;
    list_is("\"/else/where/indaba_gate.so\", citus", NULL, "citus");
    list_is("citus, indaba_gate , \"/e/indaba_gate.so\"",
            "/i/indaba_gate.so",
            "citus, \"/i/indaba_gate.so\"");
    list_is("my_indaba_gate, indaba_gates", NULL, "my_indaba_gate, indaba_gates");
}

static void test_a_list_that_is_too_long_is_refused(void **state)
{
    char list[PG_TEXT_SIZE];
    char configured[PG_TEXT_SIZE + 1];

    (void)state;
    memset(configured, 'a', PG_TEXT_SIZE);
    configured[PG_TEXT_SIZE] = '\0';
    assert_int_equal(pg_gate_list(configured, NULL, list), ERR_LIMIT);
}

static void test_a_page_is_read_as_it_was_written_or_not_at_all(void **state)
{
    struct gate_page page = {0};
    struct gate_view view = {.epoch = 3, .deadline_ns = 7, .sync = 1, .names_count = 1};
    struct gate_view read;

    (void)state;
    assert_false(gate_page_read(&page, &read)); /* nobody has written it */
    (void)snprintf(view.names[0], sizeof(view.names[0]), "one");
    gate_page_write(&page, &view);
    assert_true(gate_page_read(&page, &read));
    assert_memory_equal(&read, &view, sizeof(view));
    page.sequence++; /* whoever writes it died */
    assert_false(gate_page_read(&page, &read));
    gate_page_write(&page, &view); /* … and another one can */
    assert_true(gate_page_read(&page, &read));
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_libraries_of_the_user_keep_their_order_and_come_first),
        cmocka_unit_test(test_a_gate_of_another_folder_gives_way),
        cmocka_unit_test(test_a_list_that_is_too_long_is_refused),
        cmocka_unit_test(test_a_page_is_read_as_it_was_written_or_not_at_all),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
