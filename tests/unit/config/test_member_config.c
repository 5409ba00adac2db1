/* SPDX-License-Identifier: Apache-2.0 */
/* Goal: a good file gives the whole configuration; each thing that can be wrong is refused with a
 * text that names the field. Method: real files; each bad one differs from the good one in one
 * place. */
#include "config/member_config.h"
#include "tests/support/support_tmpdir.h"

#include <stdio.h>
#include <string.h>

/* cmocka.h needs these before it. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>

#include <cmocka.h>

#define ID_A "0000000000000000000000000000000a"
#define ID_B "0000000000000000000000000000000b"

static const char good[] =
    "cluster: {id: 000000000000000000000000000000c1, name: test, lease_ms: 4000}\n"
    "member: {name: n1, dir: /var/lib/indaba}\n"
    "members:\n"
    "  - {id: " ID_B ", name: n2, region: south, peer: '10.0.0.2:7401', api: '10.0.0.2:7400', "
    "ops: '10.0.0.2:7402'}\n"
    "  - {id: " ID_A ", name: n1, region: north, peer: '10.0.0.1:7401', api: '10.0.0.1:7400', "
    "ops: '10.0.0.1:7402'}\n"
    "regions:\n"
    "  - {name: north, jurisdiction: eu, rank: 1}\n"
    "  - {name: south}\n"
    "tls: {ca: ca.pem, cert: n1.pem, key: n1.key}\n"
    "timers: {heartbeat_ms: 100, election_ms: 1000}\n"
    "log: {level: warn}\n";

static struct member_config config;
static struct reason reason = {0};

/* Loads the good file with `from` replaced by `to`. */
static enum error load_with(const char *from, const char *to)
{
    char path[256];
    char text[4096];
    (void)snprintf(path, sizeof(path), "%s/member.yaml", support_tmpdir("config"));
    const char *at = strstr(good, from);
    assert_non_null(at);
    int len =
        snprintf(text, sizeof(text), "%.*s%s%s", (int)(at - good), good, to, at + strlen(from));
    assert_true(len >= 0 && (size_t)len < sizeof(text));
    FILE *file = fopen(path, "w");
    assert_non_null(file);
    assert_int_equal(fwrite(text, 1, (size_t)len, file), len);
    assert_int_equal(fclose(file), 0);
    reason.text[0] = '\0';
    return member_config_load(path, &reason, &config);
}

static void assert_refused(const char *from, const char *to, const char *word)
{
    assert_int_equal(load_with(from, to), ERR_CONFIG);
    if (strstr(reason.text, word) == NULL) {
        fail_msg("\"%s\" does not say \"%s\"", reason.text, word);
    }
    assert_non_null(strstr(reason.text, "member.yaml"));
}

static void test_a_port_without_tls_is_of_this_machine_alone(void **state)
{
    (void)state;
    assert_int_equal(load_with("log:", "listen: {bench_without_tls: '127.0.0.1:7410'}\nlog:"),
                     ERR_OK);
    assert_string_equal(config.listen_bench, "127.0.0.1:7410");
    assert_refused(
        "log:", "listen: {bench_without_tls: '10.0.0.1:7410'}\nlog:", "listen.bench_without_tls");
    assert_refused(
        "log:", "listen: {bench_without_tls: '0.0.0.0:7410'}\nlog:", "listen.bench_without_tls");
}

static void test_a_good_file_gives_everything(void **state)
{
    (void)state;
    assert_int_equal(load_with("warn", "warn"), ERR_OK);
    assert_string_equal(config.cluster_name, "test");
    assert_int_equal(config.lease_ms, 4000);
    assert_int_equal(config.cluster.lo, 0xc1);
    assert_int_equal(config.member.lo, 0xa);
    assert_string_equal(config.region, "north");
    assert_string_equal(config.listen_api, "10.0.0.1:7400");
    assert_int_equal(config.regions_count, 2);
    assert_int_equal(config.regions[0].rank, 1);
    assert_int_equal(config.heartbeat_ms, 100);
    assert_int_equal(config.election_ms, 1000);
    assert_int_equal(config.log_level, LOG_WARN);
}

static void test_members_are_in_the_order_of_their_ids_whatever_the_file_says(void **state)
{
    (void)state;
    struct raft_configuration founding;
    assert_int_equal(load_with("warn", "warn"), ERR_OK);
    member_config_founding(&config, &founding);

    assert_int_equal(founding.count, 2);
    assert_int_equal(founding.servers[0].id.lo, 0xa);
    assert_int_equal(founding.servers[0].region, 1);
    assert_int_equal(founding.servers[1].id.lo, 0xb);
    assert_true(founding.servers[1].voter);
    assert_string_equal(member_config_named(&config, "n2")->region, "south");
    assert_null(member_config_named(&config, "n3"));
}

static void test_unknown_keys_are_refused(void **state)
{
    (void)state;
    assert_refused("lease_ms: 4000", "leese_ms: 4000", "leese_ms");
}

static void test_each_wrong_value_names_its_field(void **state)
{
    (void)state;
    assert_refused("lease_ms: 4000", "lease_ms: 10", "cluster.lease_ms");
    assert_refused("000000000000000000000000000000c1", "c1", "cluster.id");
    assert_refused("name: n1, dir", "name: n9, dir", "member.name");
    assert_refused("10.0.0.2:7401", "db.example.com:7401", "members[].peer");
    assert_refused("region: south", "region: east", "members[].region");
    assert_refused(ID_B, ID_A, "twice");
    assert_refused(
        "peer: '10.0.0.2:7401'", "peer: '[::ffff:10.0.0.1]:7400'", "is one of n2 already");
    assert_refused("ops: '10.0.0.2:7402'", "ops: '10.0.0.2:7401'", "is one of n2 already");
    assert_refused("name: north, jur", "name: North, jur", "regions[].name");
    assert_refused("election_ms: 1000", "election_ms: 200", "timers.election_ms");
    assert_refused("election_ms: 1000", "election_ms: 1100", "cluster.lease_ms");
    assert_refused("level: warn", "level: loud", "log.level");
    assert_refused("dir: /var/lib/indaba", "dir: ''", "member.dir");
    assert_refused("dir: /var/lib/indaba", "dir: \"/var/lib/indaba\\n\"", "member.dir");
}

static void test_a_missing_part_or_file_is_refused(void **state)
{
    (void)state;
    assert_refused("tls: {ca: ca.pem, cert: n1.pem, key: n1.key}\n", "", "tls");
    assert_int_equal(member_config_load("/nonexistent/member.yaml", &reason, &config), ERR_CONFIG);
    assert_non_null(strstr(reason.text, "/nonexistent/member.yaml"));
}

static void test_a_file_without_content_is_refused(void **state)
{
    (void)state;
    assert_refused(good, "", "empty");
    assert_refused(good, " \n", "no configuration");
    assert_refused(good, "# nothing yet\n", "no configuration");
}

static void test_a_failed_load_leaves_the_result_alone(void **state)
{
    (void)state;
    assert_int_equal(load_with("warn", "warn"), ERR_OK);
    struct member_config before = config;
    assert_int_equal(load_with("level: warn", "level: loud"), ERR_CONFIG);
    assert_memory_equal(&before, &config, sizeof(before));
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_a_port_without_tls_is_of_this_machine_alone),
        cmocka_unit_test(test_a_good_file_gives_everything),
        cmocka_unit_test(test_members_are_in_the_order_of_their_ids_whatever_the_file_says),
        cmocka_unit_test(test_unknown_keys_are_refused),
        cmocka_unit_test(test_each_wrong_value_names_its_field),
        cmocka_unit_test(test_a_missing_part_or_file_is_refused),
        cmocka_unit_test(test_a_file_without_content_is_refused),
        cmocka_unit_test(test_a_failed_load_leaves_the_result_alone),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
