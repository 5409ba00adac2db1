/* SPDX-License-Identifier: Apache-2.0 */
/* The pure parts of watching a database: what of postgresql.auto.conf is ours, whether a password
 * fits what the server keeps, and in which order the sidecar tries to log in. */
#include "replication/durable_file.h"
#include "replication/postgres/pg_auto_conf.h"
#include "replication/postgres/pg_login.h"
#include "replication/postgres/pg_scram.h"
#include "tests/support/support_tmpdir.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdio.h>
#include <string.h>

#include <cmocka.h>

static void assert_kept(const char *text, const char *expected)
{
    struct buf kept = {0};
    pg_auto_conf_clean(text, strlen(text), &kept);
    buf_append(&kept, "", 1);
    assert_string_equal((const char *)kept.data, expected);
    assert_int_equal(pg_auto_conf_is_clean(text, strlen(text)), strcmp(text, expected) == 0);
    buf_deinit(&kept);
}

static void test_settings_of_ours_are_taken_out_of_what_alter_system_wrote(void **state)
{
    (void)state;
    assert_kept("work_mem = '8MB'\nfsync = 'off'\nsynchronous_commit='off'\n",
                "work_mem = '8MB'\n");
    assert_kept("# a comment\nfsyncs = 'x'\n", "# a comment\nfsyncs = 'x'\n");
    assert_kept("recovery_target_lsn = '0/1'", "");
    assert_kept("", "");
}

static void test_an_editors_blanks_capitals_and_includes_do_not_hide_them(void **state)
{
    (void)state;
    assert_kept(" \tFSync = off\nwork_mem = 8MB\n", "work_mem = 8MB\n");
    assert_kept("include '/tmp/more.conf'\n", "");
    assert_kept("fsync'off'\nfsync=off\n", "");
}

/* As PostgreSQL 15 keeps it, of the password "only-for-tests". */
static const char VERIFIER[] =
    "SCRAM-SHA-256$4096:"
    "MDEyMzQ1Njc4OWFiY2RlZg==$1jBXSAyEix/20RMbwHxJmJTD143mXlKj3+25GRUlJTw=:6lWmI6qPcVoYPsjF2D/"
    "aXfCzyoQvom/bS5IgcWxfpQ0=";

static void test_a_password_fits_what_the_server_keeps_of_it(void **state)
{
    (void)state;
    assert_true(pg_scram_matches(VERIFIER, "only-for-tests"));
    assert_false(pg_scram_matches(VERIFIER, "only-for-test"));
    assert_false(pg_scram_matches(VERIFIER, ""));
}

static void test_what_is_no_verifier_fits_no_password(void **state)
{
    static const char *const TEXTS[] = {"",
                                        "md5abc",
                                        "SCRAM-SHA-256$",
                                        "SCRAM-SHA-256$4096",
                                        "SCRAM-SHA-256$0:QUJD$QUJD:QUJD",
                                        "SCRAM-SHA-256$4096:$QUJD:QUJD",
                                        "SCRAM-SHA-256$4096:QUJD$QUJD:QUJD",
                                        "SCRAM-SHA-256$4096:QU*D$QUJDQUJD:",
                                        "SCRAM-SHA-256$99999999999:QUJD$QUJD:QUJD"};
    (void)state;
    for (size_t i = 0; i < sizeof(TEXTS) / sizeof(TEXTS[0]); i++) {
        assert_false(pg_scram_matches(TEXTS[i], ""));
        assert_false(pg_scram_matches(TEXTS[i], "only-for-tests"));
    }
}

static void test_every_database_that_may_let_us_in_is_tried_by_both_roles(void **state)
{
    struct work work = {.cancel_fd = -1};
    struct pg_place place = {.config = {.superuser = "boss"}};
    struct pg_databases databases;
    struct pg_login login;
    char tried[256] = "";
    (void)state;
    (void)snprintf(place.state, sizeof(place.state), "%s", support_tmpdir("login"));
    pg_databases_parse("app\nother db\n\n", &databases);
    assert_int_equal(databases.count, 2);
    assert_int_equal(pg_databases_remember(&work, &place, &databases), ERR_OK);

    pg_login_begin(&login, &place);
    while (pg_login_next(&login)) {
        size_t len = strlen(tried);
        (void)snprintf(tried + len, sizeof(tried) - len, "%s/%s ", login.role, login.database);
    }
    assert_string_equal(tried,
                        "indaba_sidecar/postgres boss/postgres indaba_sidecar/app boss/app "
                        "indaba_sidecar/other db boss/other db indaba_sidecar/template1 "
                        "boss/template1 ");
}

static void test_names_of_databases_that_do_not_fit_are_left_out(void **state)
{
    struct pg_databases databases;
    char text[1024] = "";
    (void)state;
    for (int i = 0; i < 3 * PG_DATABASES_MAX; i++) {
        size_t len = strlen(text);
        (void)snprintf(text + len, sizeof(text) - len, "d%d\n", i);
    }
    pg_databases_parse(text, &databases);
    assert_int_equal(databases.count, PG_DATABASES_MAX);
    memset(text, 'x', 100);
    memcpy(text + 100, "\nb", 3);
    pg_databases_parse(text, &databases);
    assert_int_equal(databases.count, 1);
    assert_string_equal(databases.names[0], "b");
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_settings_of_ours_are_taken_out_of_what_alter_system_wrote),
        cmocka_unit_test(test_an_editors_blanks_capitals_and_includes_do_not_hide_them),
        cmocka_unit_test(test_a_password_fits_what_the_server_keeps_of_it),
        cmocka_unit_test(test_what_is_no_verifier_fits_no_password),
        cmocka_unit_test(test_every_database_that_may_let_us_in_is_tried_by_both_roles),
        cmocka_unit_test(test_names_of_databases_that_do_not_fit_are_left_out),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
