/* SPDX-License-Identifier: Apache-2.0 */
/* What a start needs and why it failed. Goal: five settings are never lower than the folder's WAL
 * asks for, whoever set them where; the words of a server that did not start are its own. */
#include "base/check.h"
#include "replication/postgres/pg_bounds.h"
#include "replication/postgres/pg_words.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include <cmocka.h>

static const char CONTROL[] = "Database system identifier:           7432101234567890123\n"
                              "wal_level setting:                    replica\n"
                              "max_connections setting:              300\n"
                              "max_worker_processes setting:         8\n"
                              "max_wal_senders setting:              16\n"
                              "max_prepared_xacts setting:           20\n"
                              "max_locks_per_xact setting:           64\n";

static void test_the_five_settings_of_a_folder_are_read(void **state)
{
    struct pg_bounds bounds;
    (void)state;
    assert_int_equal(pg_bounds_parse(CONTROL, &bounds), ERR_OK);
    assert_string_equal(pg_bounds_name(0), "max_connections");
    assert_int_equal(bounds.values[0], 300);
    assert_true(bounds.system_identifier == 7432101234567890123u);
    assert_string_equal(pg_bounds_name(3), "max_prepared_transactions");
    assert_int_equal(bounds.values[3], 20);
    assert_int_equal(pg_bounds_parse("max_connections setting:  300\n", &bounds), ERR_CORRUPT);
    assert_int_equal(pg_bounds_parse("", &bounds), ERR_CORRUPT);
}

static void test_who_sets_a_name_is_found_in_any_spelling(void **state)
{
    (void)state;
    assert_true(pg_bounds_may_set("a = 1\n  Max_Connections=60\n", "max_connections"));
    assert_true(pg_bounds_may_set("max_connections 60", "max_connections"));
    assert_true(pg_bounds_may_set("include 'more.conf'\n", "max_connections"));
    assert_false(pg_bounds_may_set("# max_connections = 60\n", "max_connections"));
    assert_false(pg_bounds_may_set("max_connections_of_mine = 60\n", "max_connections"));
    assert_false(pg_bounds_may_set("", "max_connections"));
}

static void test_a_setting_is_taken_out_and_the_rest_is_kept(void **state)
{
    struct buf kept = {0};
    (void)state;
    pg_bounds_without("a = 1\nmax_connections = '60'\nb = 2", "max_connections", &kept);
    assert_string_equal((const char *)kept.data, "a = 1\nb = 2");
    buf_deinit(&kept);
}

static void assert_words(const char *log, const char *expected)
{
    char words[WORK_MESSAGE_SIZE];

    pg_words_find(log, words);
    assert_string_equal(words, expected);
}

static void test_the_last_words_are_the_servers_own(void **state)
{
    (void)state;
    assert_words("", "");
    assert_words("t [1]  LOG:  starting\n", "");
    assert_words("t [1]  FATAL:  an older one\n"
                 "t [1]  FATAL:  recovery aborted because of insufficient parameter settings\n"
                 "t [1]  DETAIL:  max_connections = 60 is a lower setting.\n"
                 "t [9] app FATAL:  the database system is starting up\n",
                 "recovery aborted because of insufficient parameter settings: "
                 "max_connections = 60 is a lower setting.");
}

static void test_what_is_wrong_in_a_file_is_told_instead_of_that_it_is_wrong(void **state)
{
    (void)state;
    assert_words("t [1]  LOG:  invalid authentication method \"scram\"\n"
                 "t [1]  CONTEXT:  line 7 of configuration file \"/d/pg_hba.conf\"\n"
                 "t [1]  FATAL:  could not load /d/pg_hba.conf\n",
                 "invalid authentication method \"scram\"");
    assert_words("t [1] LOG:  syntax error in file \"/d/postgresql.conf\" line 3\n"
                 "t [1] FATAL:  configuration file \"/d/postgresql.conf\" contains errors\n",
                 "syntax error in file \"/d/postgresql.conf\" line 3");
    assert_words("t [1] FATAL:  could not load /d/pg_hba.conf", "could not load /d/pg_hba.conf");
}

static void test_wal_that_is_gone_is_what_the_newest_receiver_was_told(void **state)
{
    static const char GONE[] = "t [5] walreceiver  FATAL:  could not receive data from WAL stream: "
                               "ERROR:  requested WAL segment "
                               "000000020000000000000003 has already been removed\n";
    static const char LOST[] =
        "t [6] walreceiver  FATAL:  could not receive data from WAL stream: server closed "
        "the connection unexpectedly\n";
    char log[1024];
    (void)state;
    assert_true(pg_words_say_wal_is_lost(GONE));
    assert_false(pg_words_say_wal_is_lost(LOST));
    assert_false(pg_words_say_wal_is_lost(""));
    (void)snprintf(log, sizeof(log), "%s%s", GONE, LOST);
    assert_false(pg_words_say_wal_is_lost(log));
    (void)snprintf(log, sizeof(log), "%s%s", LOST, GONE);
    assert_true(pg_words_say_wal_is_lost(log));
}

static void test_a_server_that_is_told_to_be_verbose_is_understood(void **state)
{
    static const char GONE[] =
        "t [5] walreceiver  FATAL:  08P01: could not start WAL streaming: ERROR:  requested WAL "
        "segment 000000020000000000000003 has already been removed\n";
    char log[1024];
    (void)state;
    assert_true(pg_words_say_wal_is_lost(GONE));
    (void)snprintf(log,
                   sizeof(log),
                   "%st [1] postmaster  LOG:  00000: starting PostgreSQL 15.20 on x86_64\n",
                   GONE);
    assert_false(pg_words_say_wal_is_lost(log));
    assert_words("t [1] startup  FATAL:  53100: no more room\n", "no more room");
    assert_words("t [1] startup  FATAL:  57P03: the database system is starting up\n", "");
}

static void test_wal_is_not_gone_by_words_of_a_client_or_of_an_earlier_run(void **state)
{
    static const char GONE[] =
        "t [5] walreceiver  FATAL:  could not start WAL streaming: ERROR:  requested WAL segment "
        "000000020000000000000003 has already been removed\n";
    static const char *const NEWER[] = {
        "t [1] postmaster  LOG:  starting PostgreSQL 15.20 on x86_64-pc-linux-gnu\n",
        "t [6] walreceiver  LOG:  started streaming WAL from primary at 0/3000000 on timeline 2\n",
        "t [6] walreceiver  FATAL:  terminating walreceiver process due to administrator command\n",
    };
    char log[1024];
    (void)state;
    assert_true(pg_words_say_wal_is_lost(GONE));
    for (size_t i = 0; i < ARRAY_LEN(NEWER); i++) {
        (void)snprintf(log, sizeof(log), "%s%s", GONE, NEWER[i]);
        assert_false(pg_words_say_wal_is_lost(log));
    }
    (void)snprintf(log, sizeof(log), "t [9] client backend %s", GONE);
    assert_false(pg_words_say_wal_is_lost(log));
    (void)snprintf(log, sizeof(log), "t [9] client backend a ERROR:  x\n\t%s", GONE);
    assert_false(pg_words_say_wal_is_lost(log));
    assert_words("t [1] startup  FATAL:  no more room\n"
                 "t [9] client backend a ERROR:  FATAL:  the host burns\n"
                 "\tFATAL:  it burns still\n",
                 "no more room");
}

/* A log of more than what is read of it, so that this begins within the words of a client. */
static void test_a_line_of_which_the_beginning_is_not_read_says_nothing(void **state)
{
    static const char SAID[] = "t [5] walreceiver  FATAL:  could not start WAL streaming: ERROR:  "
                               "requested WAL segment 000000020000000000000003 has already been "
                               "removed ";
    struct pg_place place = {.user = {.uid = geteuid()}};
    char path[PG_PATH_SIZE * 2];
    (void)state;

    (void)snprintf(place.log, sizeof(place.log), "/tmp/indaba-words-XXXXXX");
    assert_non_null(mkdtemp(place.log));
    (void)snprintf(path, sizeof(path), "%s/postgres.log", place.log);
    FILE *file = fopen(path, "w");
    assert_non_null(file);
    for (size_t len = 0; len < (size_t)2 * 1024 * 1024; len += sizeof(SAID) - 1) {
        assert_true(fputs(SAID, file) >= 0);
    }
    assert_int_equal(fputs("\n", file) < 0, 0);
    assert_int_equal(fflush(file), 0);
    assert_false(pg_words_wal_is_lost(&place));
    (void)fprintf(file, "%s\n", SAID);
    assert_int_equal(fclose(file), 0);
    assert_true(pg_words_wal_is_lost(&place));
    assert_int_equal(unlink(path), 0);
    assert_int_equal(rmdir(place.log), 0);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_the_five_settings_of_a_folder_are_read),
        cmocka_unit_test(test_who_sets_a_name_is_found_in_any_spelling),
        cmocka_unit_test(test_a_setting_is_taken_out_and_the_rest_is_kept),
        cmocka_unit_test(test_the_last_words_are_the_servers_own),
        cmocka_unit_test(test_wal_that_is_gone_is_what_the_newest_receiver_was_told),
        cmocka_unit_test(test_a_server_that_is_told_to_be_verbose_is_understood),
        cmocka_unit_test(test_wal_is_not_gone_by_words_of_a_client_or_of_an_earlier_run),
        cmocka_unit_test(test_a_line_of_which_the_beginning_is_not_read_says_nothing),
        cmocka_unit_test(test_what_is_wrong_in_a_file_is_told_instead_of_that_it_is_wrong),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
