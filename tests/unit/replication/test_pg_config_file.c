/* SPDX-License-Identifier: Apache-2.0 */
/* Goal: settings say what they must, and only that: names in the right quotes, a placeholder where
 * nobody is recorded, connection strings that come back as they went. */
#include "replication/durable_file.h"
#include "replication/postgres/pg_config_file.h"
#include "replication/postgres/pg_history.h"
#include "tests/support/support_tmpdir.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/eventfd.h>
#include <sys/stat.h>
#include <unistd.h>

#include <cmocka.h>

static struct pg_settings sync_settings(void)
{
    return (struct pg_settings){
        .shard = {4},
        .self = {.instance = {7}, .incarnation = {0xabc}},
        .upstream = {9},
        .upstream_address = "10.1.2.3:5433",
        .sync = true,
    };
}

static void test_a_sync_shard_never_has_empty_names(void **state)
{
    struct pg_settings settings = sync_settings();
    char text[PG_NAMES_SIZE];
    (void)state;

    assert_string_equal(pg_settings_sync_names(&settings, text), "ANY 1 (indaba_nobody)");
    settings.pair.required = 1;
    assert_string_equal(pg_settings_sync_names(&settings, text), "ANY 1 (indaba_nobody)");
    settings.sync = false;
    assert_string_equal(pg_settings_sync_names(&settings, text), "");
}

static void test_recorded_standbys_are_named_with_their_incarnation(void **state)
{
    struct pg_settings settings = sync_settings();
    char text[PG_NAMES_SIZE];
    (void)state;
    settings.pair.required = 2;
    struct sync_member second = {.instance.value = 2, .incarnation.value = 0x11};
    struct sync_member third = {.instance.value = 3, .incarnation.value = 0x22};
    assert_int_equal(sync_pair_add(&settings.pair, second), ERR_OK);
    assert_int_equal(sync_pair_add(&settings.pair, third), ERR_OK);

    assert_string_equal(pg_settings_sync_names(&settings, text),
                        "ANY 2 (\"indaba_4_2_0000000000000011\", "
                        "\"indaba_4_3_0000000000000022\")");
}

static void test_the_largest_set_of_names_fits(void **state)
{
    struct pg_settings settings = sync_settings();
    char text[PG_NAMES_SIZE];
    (void)state;
    settings.shard.value = UINT32_MAX;
    settings.pair.required = SYNC_SET_MAX;
    for (uint32_t i = 0; i < SYNC_SET_MAX; i++) {
        struct sync_member member = {{UINT32_MAX - SYNC_SET_MAX + i}, {UINT64_MAX}};
        assert_int_equal(sync_pair_add(&settings.pair, member), ERR_OK);
    }

    size_t len = strlen(pg_settings_sync_names(&settings, text));

    assert_true(len > SYNC_SET_MAX * 40);
    assert_int_equal(text[len - 1], ')');
}

static void assert_round_trip(const char *address, uint32_t instance)
{
    struct pg_settings settings = sync_settings();
    struct pg_place place = {.config = {.replication_user = "indaba_replication"}, .run = "/r"};
    char text[PG_TEXT_SIZE];
    char address_out[ADDRESS_SIZE];
    struct instance_id instance_out = {0};

    settings.upstream.value = instance;
    (void)snprintf(settings.upstream_address, ADDRESS_SIZE, "%s", address);
    assert_int_equal(pg_conninfo(&place, &settings, text), ERR_OK);
    pg_conninfo_parse(text, &instance_out, address_out);
    assert_int_equal(instance_out.value, instance);
    assert_string_equal(address_out, instance == 0 ? "" : address);
}

static void test_whom_a_connection_string_names_can_be_read_back(void **state)
{
    (void)state;
    assert_round_trip("10.1.2.3:5433", 9);
    assert_round_trip("[fd00::17]:5432", 4000000000);
    assert_round_trip("10.1.2.3:5433", 0);
}

static void test_a_copy_streams_under_a_name_that_matches_no_standby(void **state)
{
    struct pg_settings settings = sync_settings();
    struct pg_place place = {.config = {.replication_user = "indaba_replication"}, .run = "/r"};
    char text[PG_TEXT_SIZE];
    (void)state;

    assert_int_equal(pg_conninfo(&place, &settings, text), ERR_OK);
    assert_non_null(strstr(text, " application_name=indaba_4_7_0000000000000abc "));
    assert_int_equal(pg_conninfo_of_copy(&place, &settings, text), ERR_OK);
    assert_non_null(strstr(text, " application_name=indaba-copy-4-7 "));
    assert_non_null(strstr(text, " options='-c wal_sender_timeout=60s'"));
}

static void test_a_standby_without_a_name_streams_under_one_that_matches_none(void **state)
{
    struct pg_settings settings = sync_settings();
    struct pg_place place = {.config = {.replication_user = "indaba_replication"}, .run = "/r"};
    char text[PG_TEXT_SIZE];
    (void)state;

    assert_int_equal(pg_conninfo(&place, &settings, text), ERR_OK);
    assert_false(pg_conninfo_is_nameless(text));
    settings.nameless = true;
    assert_int_equal(pg_conninfo(&place, &settings, text), ERR_OK);
    assert_non_null(strstr(text, " application_name=indaba-nameless-4-7 "));
    assert_true(pg_conninfo_is_nameless(text));
    assert_false(pg_conninfo_is_nameless(""));
}

/* As PostgreSQL 15 shows it in pg_stat_wal_receiver. */
#define SHOWN(host, name)                                                                         \
    "user=u passfile=/r/pgpass channel_binding=prefer connect_timeout=2 dbname=replication " host \
    " application_name=" name " fallback_application_name=indaba-4-7 sslmode=prefer"

static void test_a_receiver_is_known_by_what_it_connects_by(void **state)
{
    static const char *const OTHERS[] = {
        SHOWN("host=indaba-9 hostaddr=10.1.2.3 port=5433", "indaba-nameless-4-7"),
        SHOWN("host=indaba-8 hostaddr=10.1.2.3 port=5433", "indaba_4_7_0000000000000abc"),
        SHOWN("host=indaba-9 hostaddr=10.1.2.4 port=5433", "indaba_4_7_0000000000000abc"),
        SHOWN("host=indaba-9 hostaddr=10.1.2.3 port=5432", "indaba_4_7_0000000000000abc"),
        SHOWN("host=db hostaddr=10.1.2.3 port=5433", "indaba_4_7_0000000000000abc"),
        ""};
    struct pg_settings settings = sync_settings();
    (void)state;

    settings.upstream.value = 9;
    (void)snprintf(settings.upstream_address, ADDRESS_SIZE, "10.1.2.3:5433");
    assert_true(pg_conninfo_is_of(
        &settings,
        SHOWN("host=indaba-9 hostaddr=10.1.2.3 port=5433", "indaba_4_7_0000000000000abc")));
    for (size_t i = 0; i < sizeof(OTHERS) / sizeof(OTHERS[0]); i++) {
        assert_false(pg_conninfo_is_of(&settings, OTHERS[i]));
    }
    (void)snprintf(settings.upstream_address, ADDRESS_SIZE, "[fd00::17]:5432");
    assert_true(pg_conninfo_is_of(
        &settings,
        SHOWN("host=indaba-9 hostaddr=fd00::17 port=5432", "indaba_4_7_0000000000000abc")));
}

static void test_a_name_instead_of_an_address_is_refused(void **state)
{
    static const char *const BAD[] = {"db.example.org:5432",
                                      "10.1.2.3",
                                      ":5432",
                                      "10.1.2.3:",
                                      "10.1.2.3 x=y:5432",
                                      "",
                                      "10.1.2.3:5432 x=y",
                                      "10.1.2.3:5432'",
                                      "10.1.2.3:543210"};
    struct pg_settings settings = sync_settings();
    struct pg_place place = {.run = "/r"};
    char text[PG_TEXT_SIZE];
    (void)state;

    for (size_t i = 0; i < sizeof(BAD) / sizeof(BAD[0]); i++) {
        (void)snprintf(settings.upstream_address, ADDRESS_SIZE, "%s", BAD[i]);
        assert_int_equal(pg_conninfo(&place, &settings, text), ERR_INVALID);
    }
}

static void test_somebody_elses_connection_string_counts_as_an_upstream(void **state)
{
    static const char *const FOREIGN[] = {"host=10.0.0.1",
                                          "host=indaba-",
                                          "host=indaba-7",
                                          "service=x",
                                          "host=indaba-7 hostaddr=1.2.3.4",
                                          "host=indaba-0 hostaddr=1.2.3.4 port=1"};
    struct instance_id instance = {0};
    char address[ADDRESS_SIZE];
    (void)state;

    for (size_t i = 0; i < sizeof(FOREIGN) / sizeof(FOREIGN[0]); i++) {
        pg_conninfo_parse(FOREIGN[i], &instance, address);
        assert_int_equal(instance.value, UINT32_MAX);
        assert_string_equal(address, "");
    }
}

static void test_unusable_configurations_are_refused_with_a_reason(void **state)
{
    struct pg_config good = {.port = 5432, .replication_password = "x"};
    struct pg_place place;
    struct reason reason = {0};
    (void)state;
    (void)snprintf(good.dir, sizeof(good.dir), "/var/tmp/x");

    struct pg_config bad = good;
    (void)snprintf(bad.dir, sizeof(bad.dir), "relative");
    assert_int_equal(pg_place_init(&place, &bad, &reason), ERR_CONFIG);
    assert_non_null(strstr(reason.text, "dir: must be an absolute path"));
    bad = good;
    (void)snprintf(bad.dir, sizeof(bad.dir), "/var/tmp/it's");
    assert_int_equal(pg_place_init(&place, &bad, &reason), ERR_CONFIG);
    bad = good;
    bad.port = 0;
    assert_int_equal(pg_place_init(&place, &bad, &reason), ERR_CONFIG);
    assert_non_null(strstr(reason.text, "port"));
    bad = good;
    (void)snprintf(bad.replication_password, sizeof(bad.replication_password), "it's");
    assert_int_equal(pg_place_init(&place, &bad, &reason), ERR_CONFIG);
    assert_non_null(strstr(reason.text, "replication password"));
    bad = good;
    (void)snprintf(bad.bin_dir, sizeof(bad.bin_dir), "/nowhere");
    assert_int_equal(pg_place_init(&place, &bad, &reason), ERR_CONFIG);
    assert_non_null(strstr(reason.text, "/nowhere/postgres"));
}

static void make_file(const struct pg_place *place, const char *name, const char *text)
{
    char path[PG_PATH_SIZE * 2];

    (void)snprintf(path, sizeof(path), "%s/pg_wal/%s", place->data, name);
    assert_int_equal(durable_file_write(path, text, strlen(text), NULL), ERR_OK);
}

static bool has_file(const struct pg_place *place, const char *name)
{
    char path[PG_PATH_SIZE * 2];

    (void)snprintf(path, sizeof(path), "%s/pg_wal/%s", place->data, name);
    return access(path, F_OK) == 0;
}

static void make_folder(struct pg_place *place)
{
    char path[PG_PATH_SIZE * 2];

    *place = (struct pg_place){.user = {.uid = geteuid(), .gid = getegid()}};
    (void)snprintf(place->data, sizeof(place->data), "%s", support_tmpdir("history"));
    (void)snprintf(path, sizeof(path), "%s/pg_wal", place->data);
    assert_int_equal(mkdir(path, 0700), 0);
}

static void test_numbers_below_the_reserved_timeline_are_taken_and_fetched_files_stay(void **state)
{
    struct work work = {.cancel_fd = eventfd(0, EFD_CLOEXEC)};
    struct pg_place place;
    (void)state;
    make_folder(&place);
    make_file(&place, "000000020000000000000003", "segment");
    make_file(&place, "00000003.history", "1\t0/3000000\tfetched\n");

    assert_int_equal(pg_history_reserve(&work, &place, 2, 6), ERR_OK);

    assert_false(has_file(&place, "00000002.history"));
    assert_true(has_file(&place, "00000004.history"));
    assert_true(has_file(&place, "00000005.history"));
    assert_false(has_file(&place, "00000006.history"));
    /* Once more is harmless; a number that is taken, or behind us, is refused. */
    assert_int_equal(pg_history_reserve(&work, &place, 2, 6), ERR_OK);
    assert_int_equal(pg_history_reserve(&work, &place, 2, 5), ERR_PRECONDITION);
    assert_int_equal(pg_history_reserve(&work, &place, 2, 2), ERR_PRECONDITION);
    (void)close(work.cancel_fd);
}

static void test_placeholders_above_the_timeline_in_use_go_before_a_start(void **state)
{
    struct work work = {.cancel_fd = eventfd(0, EFD_CLOEXEC)};
    struct pg_place place;
    (void)state;
    make_folder(&place);
    make_file(&place, "000000020000000000000003", "segment");
    assert_int_equal(pg_history_reserve(&work, &place, 2, 6), ERR_OK);

    assert_int_equal(pg_history_clean(&work, &place), ERR_OK);
    assert_false(has_file(&place, "00000003.history"));
    assert_false(has_file(&place, "00000005.history"));

    /* Below a timeline that is really in use they are needed to find it. */
    assert_int_equal(pg_history_reserve(&work, &place, 2, 6), ERR_OK);
    make_file(&place, "00000006.history", "2\t0/3000060\tno recovery target specified\n");
    assert_int_equal(pg_history_clean(&work, &place), ERR_OK);
    assert_true(has_file(&place, "00000003.history"));
    assert_true(has_file(&place, "00000005.history"));
    assert_true(has_file(&place, "00000006.history"));
    (void)close(work.cancel_fd);
}

/* The server reads the list with each reload. It may not be empty, and open it must match nobody.
 */
static void test_the_list_of_rejected_databases_is_all_or_none(void **state)
{
    struct work work = {.cancel_fd = eventfd(0, EFD_CLOEXEC)};
    struct pg_place place;
    char path[PG_PATH_SIZE * 2];
    char text[256] = "";
    size_t len = 0;
    (void)state;
    make_folder(&place);
    (void)snprintf(place.run, sizeof(place.run), "%s", place.data);
    (void)snprintf(path, sizeof(path), "%s/closed.list", place.run);

    assert_int_equal(pg_config_write_doors(&work, &place, true), ERR_OK);
    assert_int_equal(durable_file_read(path, text, sizeof(text), &len), ERR_OK);
    assert_int_equal(strncmp(text, "all replication\n", len), 0);
    assert_int_equal(pg_config_write_doors(&work, &place, false), ERR_OK);
    assert_int_equal(durable_file_read(path, text, sizeof(text), &len), ERR_OK);
    assert_true(len > 64);
    assert_null(memchr(text, ' ', len));
    (void)close(work.cancel_fd);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_a_sync_shard_never_has_empty_names),
        cmocka_unit_test(test_recorded_standbys_are_named_with_their_incarnation),
        cmocka_unit_test(test_the_largest_set_of_names_fits),
        cmocka_unit_test(test_whom_a_connection_string_names_can_be_read_back),
        cmocka_unit_test(test_a_copy_streams_under_a_name_that_matches_no_standby),
        cmocka_unit_test(test_a_standby_without_a_name_streams_under_one_that_matches_none),
        cmocka_unit_test(test_a_receiver_is_known_by_what_it_connects_by),
        cmocka_unit_test(test_a_name_instead_of_an_address_is_refused),
        cmocka_unit_test(test_somebody_elses_connection_string_counts_as_an_upstream),
        cmocka_unit_test(test_unusable_configurations_are_refused_with_a_reason),
        cmocka_unit_test(test_numbers_below_the_reserved_timeline_are_taken_and_fetched_files_stay),
        cmocka_unit_test(test_the_list_of_rejected_databases_is_all_or_none),
        cmocka_unit_test(test_placeholders_above_the_timeline_in_use_go_before_a_start),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
