/* SPDX-License-Identifier: Apache-2.0 */
/* Goal: one data folder never serves two masters: not two sidecars, not another instance, not
 * another cluster; and each refusal says which file and what to do. */
#include "config/sidecar_config.h"
#include "replication/durable_file.h"
#include "replication/instance_dir.h"
#include "tests/support/support_tmpdir.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <string.h>
#include <sys/stat.h>

#include <cmocka.h>

enum {
    PATH_SIZE = 256
};

static const struct cluster_id CLUSTER = {.hi = 1, .lo = 2};
static const struct cluster_id OTHER = {.hi = 1, .lo = 3};

static void make_dir(char *path, const char *name)
{
    (void)snprintf(path, PATH_SIZE, "%s/%s", support_tmpdir("instance"), name);
    assert_int_equal(mkdir(path, 0700), 0);
}

static struct instance_dir *open_dir(const char *path, const char *name)
{
    struct reason reason = {0};
    struct instance_dir *dir = NULL;
    assert_int_equal(instance_dir_open(path, "orders", name, &reason, &dir), ERR_OK);
    return dir;
}

/* As the agent does: durable, then told. */
static enum error join(struct instance_dir *dir, struct cluster_id cluster)
{
    enum error error = instance_dir_belongs(dir, cluster);
    if (error == ERR_NOT_FOUND) {
        const struct instance_identity next = instance_dir_identity(dir, cluster);
        error = kept_file_write(instance_dir_path(dir), &INSTANCE_IDENTITY, &next);
        instance_dir_joined(dir, cluster);
    }
    return error;
}

static void test_a_folder_is_held_by_one_sidecar_at_a_time(void **state)
{
    char path[PATH_SIZE];
    struct reason reason = {0};
    struct instance_dir *second = NULL;
    (void)state;
    make_dir(path, "held");
    struct instance_dir *first = open_dir(path, "pg1");

    assert_int_equal(instance_dir_open(path, "orders", "pg1", &reason, &second), ERR_BUSY);
    assert_null(second);
    assert_non_null(strstr(reason.text, path));
    assert_non_null(strstr(reason.text, "stop that sidecar first"));

    instance_dir_close(first);
    instance_dir_close(open_dir(path, "pg1"));
}

static void test_a_folder_of_another_instance_is_refused_and_says_whose_it_is(void **state)
{
    char path[PATH_SIZE];
    struct reason reason = {0};
    struct instance_dir *dir = NULL;
    (void)state;
    make_dir(path, "other-instance");
    instance_dir_close(open_dir(path, "pg1"));

    assert_int_equal(instance_dir_open(path, "orders", "pg2", &reason, &dir), ERR_WRONG_MEMBER);
    assert_non_null(strstr(reason.text, "\"pg1\""));
    assert_non_null(strstr(reason.text, "\"pg2\""));
    assert_int_equal(instance_dir_open(path, "users", "pg1", &reason, &dir), ERR_WRONG_MEMBER);
    assert_non_null(strstr(reason.text, "\"users\""));
    assert_null(dir);
}

static void test_a_folder_belongs_for_ever_to_the_first_cluster_that_welcomed_it(void **state)
{
    char path[PATH_SIZE];
    (void)state;
    make_dir(path, "cluster");
    struct instance_dir *dir = open_dir(path, "pg1");
    assert_true(cluster_id_equal(instance_dir_cluster(dir), (struct cluster_id){0}));

    assert_int_equal(join(dir, CLUSTER), ERR_OK);
    assert_int_equal(join(dir, OTHER), ERR_WRONG_CLUSTER);
    instance_dir_close(dir);

    dir = open_dir(path, "pg1");
    assert_true(cluster_id_equal(instance_dir_cluster(dir), CLUSTER));
    assert_int_equal(join(dir, OTHER), ERR_WRONG_CLUSTER);
    assert_int_equal(join(dir, CLUSTER), ERR_OK);
    instance_dir_close(dir);
}

static void test_a_damaged_identity_is_refused_and_left_as_it_is(void **state)
{
    static const char *const DAMAGED[] = {
        "",
        "{",
        "[]",
        "{\"version\": 2, \"shard\": \"orders\", \"instance\": \"pg1\", \"cluster\": \"\"}",
        "{\"version\": 1, \"shard\": 7, \"instance\": \"pg1\", \"cluster\": \"\"}",
        "{\"version\": 1, \"shard\": \"orders\", \"instance\": \"pg1\", \"cluster\": \"xyz\"}",
        "{\"version\": 1, \"version\": 1, \"shard\": \"orders\", \"instance\": \"pg1\"}",
    };
    char path[PATH_SIZE];
    char file[PATH_SIZE + 16];
    (void)state;
    make_dir(path, "damaged");
    (void)snprintf(file, sizeof(file), "%s/identity", path);
    for (size_t i = 0; i < sizeof(DAMAGED) / sizeof(DAMAGED[0]); i++) {
        struct reason reason = {0};
        char kept[256];
        size_t len = 0;
        struct instance_dir *dir = NULL;
        assert_int_equal(durable_file_write(file, DAMAGED[i], strlen(DAMAGED[i]), NULL), ERR_OK);

        assert_int_equal(instance_dir_open(path, "orders", "pg1", &reason, &dir), ERR_CORRUPT);
        assert_non_null(strstr(reason.text, "identity"));
        assert_int_equal(durable_file_read(file, kept, sizeof(kept), &len), ERR_OK);
        assert_int_equal(len, strlen(DAMAGED[i]));
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_a_folder_is_held_by_one_sidecar_at_a_time),
        cmocka_unit_test(test_a_folder_of_another_instance_is_refused_and_says_whose_it_is),
        cmocka_unit_test(test_a_folder_belongs_for_ever_to_the_first_cluster_that_welcomed_it),
        cmocka_unit_test(test_a_damaged_identity_is_refused_and_left_as_it_is),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
