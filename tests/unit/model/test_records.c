/* SPDX-License-Identifier: Apache-2.0 */
/* Names, addresses and the small questions asked of a view. */
#include "base/check.h"
#include "base/prng.h"
#include "model/address.h"
#include "model/report.h"
#include "tests/support/support_seed.h"

#include <arpa/inet.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdio.h>
#include <string.h>

#include <cmocka.h>

static void test_names_are_short_lower_case_and_begin_well(void **state)
{
    (void)state;
    static const char *const GOOD[] = {
        "a",
        "0",
        "eu-west-1",
        "a.b_c-d",
        "a23456789012345678901234567890123456789012345678901234567890123"};
    static const char *const BAD[] = {
        "",
        "A",
        "-a",
        ".a",
        "_a",
        "a b",
        "a/b",
        "\xc3\xa4",
        "a\n",
        "a234567890123456789012345678901234567890123456789012345678901234"};
    for (size_t i = 0; i < ARRAY_LEN(GOOD); i++) {
        assert_true(name_is_valid(GOOD[i]));
    }
    for (size_t i = 0; i < ARRAY_LEN(BAD); i++) {
        assert_false(name_is_valid(BAD[i]));
    }
}

static void test_addresses_are_numeric(void **state)
{
    (void)state;
    static const char *const GOOD[] = {"10.0.0.1:5432",
                                       "127.0.0.1:1",
                                       "255.255.255.255:65535",
                                       "[::1]:5432",
                                       "[fd00::1:2]:80",
                                       "[::ffff:10.0.0.1]:80",
                                       "0.0.0.0:1",
                                       "[::]:1",
                                       "[1::]:1",
                                       "[1:2:3:4:5:6:7:8]:1",
                                       "[1:2:3:4:5:6:7::]:1",
                                       "[1:2:3:4:5:6:1.2.3.4]:1"};
    static const char *const BAD[] = {"",
                                      "localhost:5432",
                                      "10.0.0.1",
                                      "10.0.0.1:",
                                      "10.0.0.1:0",
                                      "10.0.0.1:65536",
                                      "10.0.0:5432",
                                      "10.0.0.256:1",
                                      "10..0.1:1",
                                      "10.0.0.1.2:1",
                                      "::1:5432",
                                      "[::1]",
                                      "[]:80",
                                      "[a]:80",
                                      "[::g]:80",
                                      "10.0.0.1:5x",
                                      ":80",
                                      "10.0.0.1 :80",
                                      "10.0.0.1:0080",
                                      "host:80:90",
                                      "10.0.0.01:7102",
                                      "010.0.0.1:7102",
                                      "10.0.0.00:7102",
                                      "[2001:db8:1:2:3:4:5]:7102",
                                      "[1:2:3:4:5:6:7:8:9]:1",
                                      "[1:2:3:4:5:6:7:8::]:1",
                                      "[fe80::1::2]:1",
                                      "[:::]:1",
                                      "[:1::]:1",
                                      "[1::2:]:1",
                                      "[12345::]:1",
                                      "[::1.2.3]:1",
                                      "[::1.2.3.04]:1",
                                      "[1.2.3.4::]:1",
                                      "[1.2.3.4]:1",
                                      "[1:2:3:4:5:6:7:1.2.3.4]:1"};
    for (size_t i = 0; i < ARRAY_LEN(GOOD); i++) {
        if (!address_is_valid(GOOD[i])) {
            fail_msg("'%s' is refused", GOOD[i]);
        }
    }
    for (size_t i = 0; i < ARRAY_LEN(BAD); i++) {
        if (address_is_valid(BAD[i])) {
            fail_msg("'%s' is taken", BAD[i]);
        }
    }
    char unending[ADDRESS_SIZE];
    memset(unending, '1', sizeof(unending));
    assert_false(address_is_valid(unending));
}

/* The hosts of members are dialled: what is taken here and not there could not be taken back. */
static void test_hosts_are_those_that_can_be_dialled(void **state)
{
    (void)state;
    static const char *const SEEDS[] = {
        "10.0.0.1", "255.1.20.0", "fd00::1:2", "1:2:3:4:5:6:7:8", "::ffff:10.0.0.1", "1::", "::"};
    static const char LETTERS[] = "01259afg:.";
    struct prng prng;
    prng_init(&prng, support_seed());
    for (int i = 0; i < 300000; i++) {
        char host[40];
        char address[ADDRESS_SIZE];
        unsigned char bytes[16];
        (void)snprintf(host, sizeof(host), "%s", SEEDS[prng_below(&prng, ARRAY_LEN(SEEDS))]);
        for (uint64_t change = 1 + prng_below(&prng, 3); change > 0; change--) {
            size_t len = strlen(host);
            size_t at = prng_below(&prng, len + 1);
            char letter = LETTERS[prng_below(&prng, sizeof(LETTERS) - 1)];
            if (len > 1 && at < len && prng_below(&prng, 3) == 0) {
                memmove(host + at, host + at + 1, len - at);
            } else if (len + 1 < sizeof(host)) {
                memmove(host + at + 1, host + at, len - at + 1);
                host[at] = letter;
            }
        }
        (void)snprintf(address, sizeof(address), "%s:1", host);
        assert_int_equal(address_is_valid(address), inet_pton(AF_INET, host, bytes) == 1);
        (void)snprintf(address, sizeof(address), "[%s]:1", host);
        if (address_is_valid(address) != (inet_pton(AF_INET6, host, bytes) == 1)) {
            fail_msg("'%s' is judged differently", address);
        }
    }
}

static void test_every_enum_value_has_a_name_and_others_a_question_mark(void **state)
{
    (void)state;
    assert_string_equal(failover_step_name(FAILOVER_EXCLUDE), "exclude");
    assert_string_equal(failover_step_name(FAILOVER_ABORTED), "aborted");
    assert_string_equal(failover_step_name(FAILOVER_STEP_COUNT), "?");
    assert_string_equal(failover_cause_name(CAUSE_STUCK), "stuck");
    assert_string_equal(failover_cause_name((enum failover_cause)99), "?");
    assert_string_equal(exclusion_proof_name(PROOF_FENCE), "fence");
    assert_string_equal(exclusion_proof_name(EXCLUSION_PROOF_COUNT), "?");
    assert_string_equal(reach_name(REACH_SILENT), "silent");
    assert_string_equal(reach_name((enum reach)4), "?");
    assert_string_equal(goal_role_name(GOAL_FENCED), "fenced");
    assert_string_equal(goal_role_name(GOAL_ROLE_COUNT), "?");
    assert_string_equal(instance_state_name(INSTANCE_BUILDING), "building");
    assert_string_equal(instance_state_name(INSTANCE_STATE_COUNT), "?");
}

static void test_a_view_finds_its_instances_and_nobody_else(void **state)
{
    (void)state;
    struct shard_view view = {.instances_count = 2};
    view.instances[0].id.value = 4;
    view.instances[1].id.value = 9;
    assert_ptr_equal(shard_view_instance(&view, (struct instance_id){9}), &view.instances[1]);
    assert_null(shard_view_instance(&view, (struct instance_id){5}));
    /* A forgotten row is zero, and zero is nobody. */
    view.instances[1].id.value = 0;
    assert_null(shard_view_instance(&view, (struct instance_id){0}));
}

static void test_no_allowed_regions_means_all(void **state)
{
    (void)state;
    struct shard shard = {.allowed_regions_count = 0};
    assert_true(shard_allows_region(&shard, "anywhere"));
    shard.allowed_regions_count = 1;
    memcpy(shard.allowed_regions[0], "east", sizeof("east"));
    assert_true(shard_allows_region(&shard, "east"));
    assert_false(shard_allows_region(&shard, "west"));
    assert_false(shard_allows_region(&shard, "eas"));
}

static void test_a_failover_is_under_way_between_begin_and_done(void **state)
{
    (void)state;
    for (int step = 0; step <= FAILOVER_STEP_COUNT; step++) {
        struct shard_view view = {.failover = {.step = (enum failover_step)step}};
        bool under_way = step >= FAILOVER_EXCLUDE && step <= FAILOVER_OPEN;
        assert_int_equal(shard_view_in_failover(&view), under_way);
    }
}

static void test_one_place_is_one_however_it_is_written(void **state)
{
    (void)state;
    static const char *const SAME[][2] = {
        {"10.0.0.1:7400", "10.0.0.1:7400"},
        {"[::1]:7400", "[0:0:0:0:0:0:0:1]:7400"},
        {"[fd00::1]:1", "[FD00:0:0::0:1]:1"},
        {"[1::]:1", "[1:0:0:0:0:0:0:0]:1"},
        {"[::]:1", "[0:0:0:0::]:1"},
        {"[::ffff:10.0.0.1]:1", "10.0.0.1:1"},
        {"[::ffff:a00:1]:1", "10.0.0.1:1"},
        {"[1:2::3:4]:1", "[1:2:0:0:0:0:3:4]:1"},
    };
    static const char *const OTHER[][2] = {
        {"10.0.0.1:7400", "10.0.0.1:7401"},
        {"10.0.0.1:7400", "10.0.0.2:7400"},
        {"[::1]:7400", "[1::]:7400"},
        {"[1::2:3]:1", "[1:2::3]:1"},
        {"[::a00:1]:1", "10.0.0.1:1"},
    };
    for (size_t i = 0; i < sizeof(SAME) / sizeof(SAME[0]); i++) {
        assert_true(address_same(SAME[i][0], SAME[i][1]));
        assert_true(address_same(SAME[i][1], SAME[i][0]));
    }
    for (size_t i = 0; i < sizeof(OTHER) / sizeof(OTHER[0]); i++) {
        assert_false(address_same(OTHER[i][0], OTHER[i][1]));
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_one_place_is_one_however_it_is_written),
        cmocka_unit_test(test_names_are_short_lower_case_and_begin_well),
        cmocka_unit_test(test_addresses_are_numeric),
        cmocka_unit_test(test_hosts_are_those_that_can_be_dialled),
        cmocka_unit_test(test_every_enum_value_has_a_name_and_others_a_question_mark),
        cmocka_unit_test(test_a_view_finds_its_instances_and_nobody_else),
        cmocka_unit_test(test_no_allowed_regions_means_all),
        cmocka_unit_test(test_a_failover_is_under_way_between_begin_and_done),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
