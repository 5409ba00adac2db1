/* SPDX-License-Identifier: Apache-2.0 */
/* Goal: a good file gives the whole configuration; each thing that can be wrong is refused with a
 * text that names the field. Method: real files; each bad one differs from the good one in one
 * place. */
#include "config/sidecar_config.h"
#include "tests/support/support_tmpdir.h"

#include <stdio.h>
#include <string.h>

/* cmocka.h needs these before it. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>

#include <cmocka.h>

static const char good[] =
    "cluster: {members: ['10.0.0.1:7400', '[fd00::1]:7400']}\n"
    "instance: {shard: main, name: earth, region: north, dir: /var/lib/earth, "
    "address: '10.0.0.1:5432', http: '10.0.0.1:8008'}\n"
    "postgres: {replication_password: secret, hba: 'host all all 10.0.0.0/8 scram-sha-256'}\n"
    "tls: {ca: ca.pem, cert: earth.pem, key: earth.key}\n"
    "log: {level: warn}\n";

static struct sidecar_config config;
static struct reason reason = {0};

/* Loads the good file with `from` replaced by `to`. */
static enum error load_with(const char *from, const char *to)
{
    char path[256];
    char text[4096];
    (void)snprintf(path, sizeof(path), "%s/sidecar.yaml", support_tmpdir("config"));
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
    return sidecar_config_load(path, &reason, &config);
}

static void assert_refused(const char *from, const char *to, const char *word)
{
    assert_int_equal(load_with(from, to), ERR_CONFIG);
    if (strstr(reason.text, word) == NULL) {
        fail_msg("\"%s\" does not say \"%s\"", reason.text, word);
    }
    assert_non_null(strstr(reason.text, "sidecar.yaml"));
}

static void test_a_good_file_gives_everything(void **state)
{
    (void)state;
    assert_int_equal(load_with("warn", "warn"), ERR_OK);
    assert_int_equal(config.members_count, 2);
    assert_string_equal(config.members[1], "[fd00::1]:7400");
    assert_string_equal(config.shard, "main");
    assert_string_equal(config.name, "earth");
    assert_string_equal(config.region, "north");
    assert_string_equal(config.dir, "/var/lib/earth");
    assert_string_equal(config.kind, "postgres");
    assert_string_equal(config.address, "10.0.0.1:5432");
    assert_string_equal(config.http_address, "10.0.0.1:8008");
    assert_string_equal(config.postgres_bin, "/usr/lib/postgresql/15/bin");
    assert_string_equal(config.postgres_user, "postgres");
    assert_string_equal(config.replication_password, "secret");
    assert_string_equal(config.tls_key, "earth.key");
    assert_int_equal(config.log_level, LOG_WARN);
}

static void test_another_kind_of_database_has_nothing_of_postgres(void **state)
{
    (void)state;
    assert_int_equal(load_with("shard: main", "kind: keyvalue, shard: main"), ERR_OK);
    assert_string_equal(config.kind, "keyvalue");
    assert_string_equal(config.replication_password, "");
}

static void test_each_wrong_value_names_its_field(void **state)
{
    (void)state;
    assert_refused("shard: main", "shards: main", "shards");
    assert_refused("10.0.0.1:7400", "db.example.com:7400", "cluster.members");
    assert_refused("10.0.0.1:5432", "10.0.0.1:0", "instance.address");
    assert_refused("10.0.0.1:8008", "10.0.0.1", "instance.http");
    assert_refused("name: earth", "name: Earth", "instance.name");
    assert_refused("dir: /var/lib/earth", "dir: var/lib/earth", "instance.dir");
    assert_refused("dir: /var/lib/earth", "dir: \"/var/lib\\n\"", "instance.dir");
    assert_refused(
        "dir: /var/lib/earth",
        "dir: /var/lib/a-folder/with-a-name/that-is-longer/than-the-socket/of-a-database",
        "instance.dir");
    assert_refused("replication_password: secret, ", "", "postgres.replication_password");
    assert_refused("host all all 10.0.0.0/8", "host all", "postgres.hba");
    assert_refused("ca: ca.pem", "ca: ''", "tls.ca");
    assert_refused("level: warn", "level: loud", "log.level");
}

static void test_the_first_of_two_errors_is_told(void **state)
{
    (void)state;
    assert_refused("main, name: earth", "Main, name: Earth", "instance.shard");
    assert_null(strstr(reason.text, "instance.name"));
}

static void test_a_missing_part_or_file_is_refused(void **state)
{
    (void)state;
    assert_refused("tls: {ca: ca.pem, cert: earth.pem, key: earth.key}\n", "", "tls");
    assert_refused(good, "# nothing yet\n", "no configuration");
    assert_int_equal(sidecar_config_load("/nonexistent/sidecar.yaml", &reason, &config),
                     ERR_CONFIG);
    assert_non_null(strstr(reason.text, "/nonexistent/sidecar.yaml"));
}

static void test_a_failed_load_leaves_the_result_alone(void **state)
{
    (void)state;
    assert_int_equal(load_with("warn", "warn"), ERR_OK);
    struct sidecar_config before = config;
    assert_int_equal(load_with("level: warn", "level: loud"), ERR_CONFIG);
    assert_memory_equal(&before, &config, sizeof(before));
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_a_good_file_gives_everything),
        cmocka_unit_test(test_another_kind_of_database_has_nothing_of_postgres),
        cmocka_unit_test(test_each_wrong_value_names_its_field),
        cmocka_unit_test(test_the_first_of_two_errors_is_told),
        cmocka_unit_test(test_a_missing_part_or_file_is_refused),
        cmocka_unit_test(test_a_failed_load_leaves_the_result_alone),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
