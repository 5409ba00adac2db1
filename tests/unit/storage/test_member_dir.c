/* SPDX-License-Identifier: Apache-2.0 */
/* Goal: a data folder belongs to one member and one process, and each refusal says what is wrong
 * and what to do. Method: real folders under /var/tmp; a second process is a forked child. */
#include "tests/unit/storage/storage_test.h"

#include "base/mem.h"
#include "storage/member_dir.h"
#include "storage/wal.h"
#include "tests/unit/storage/folder.h"

#include <signal.h>
#include <stdio.h>
#include <string.h>
#include <sys/wait.h>
#include <unistd.h>

struct fixture {
    struct folder parent;
    char path[FOLDER_PATH_SIZE + 16];
    struct member_identity identity;
    struct reason reason;
};

static int setup(void **state)
{
    struct fixture *fixture = mem_new(sizeof(*fixture));
    folder_make(&fixture->parent);
    (void)snprintf(fixture->path, sizeof(fixture->path), "%s/data", fixture->parent.path);
    fixture->identity = (struct member_identity){
        .cluster = {.hi = 0x11, .lo = 0x12},
        .member = {.hi = 0x21, .lo = 0x22},
        .name = "lagos-1",
    };
    buf_append_string(&fixture->identity.founding, "founding configuration");
    *state = fixture;
    return 0;
}

static int teardown(void **state)
{
    struct fixture *fixture = *state;
    folder_remove(&fixture->parent);
    member_identity_deinit(&fixture->identity);
    mem_free(fixture);
    return 0;
}

static void format(struct fixture *fixture)
{
    if (member_dir_format(fixture->path, &fixture->identity, 4096, &fixture->reason) != ERR_OK) {
        fail_msg("%s", fixture->reason.text);
    }
}

static struct member_dir *open_dir(struct fixture *fixture)
{
    struct member_expected nothing = {0};
    struct member_dir *dir;
    if (member_dir_open(fixture->path, &nothing, &fixture->reason, &dir) != ERR_OK) {
        fail_msg("%s", fixture->reason.text);
    }
    return dir;
}

static void expect_refusal(struct fixture *fixture,
                           const struct member_expected *expected,
                           enum error error,
                           const char *says)
{
    struct member_dir *dir;
    assert_int_equal(member_dir_open(fixture->path, expected, &fixture->reason, &dir), error);
    if (strstr(fixture->reason.text, says) == NULL) {
        fail_msg("\"%s\" does not say \"%s\"", fixture->reason.text, says);
    }
}

static void test_a_formatted_folder_opens_with_its_identity(void **state)
{
    struct fixture *fixture = *state;
    format(fixture);

    struct member_dir *dir = open_dir(fixture);

    const struct member_identity *identity = member_dir_identity(dir);
    assert_true(cluster_id_equal(identity->cluster, fixture->identity.cluster));
    assert_true(member_id_equal(identity->member, fixture->identity.member));
    assert_string_equal(identity->name, "lagos-1");
    assert_true(slice_equal(buf_view(&identity->founding), buf_view(&fixture->identity.founding)));
    member_dir_close(dir);
}

static void test_a_formatted_folder_holds_an_empty_log_of_that_member(void **state)
{
    struct fixture *fixture = *state;
    format(fixture);
    struct member_dir *dir = open_dir(fixture);
    struct wal_options options = {
        .disk = disk_real(),
        .path = member_dir_wal_path(dir),
        .cluster = fixture->identity.cluster,
        .member = fixture->identity.member,
    };
    struct wal_recovered recovered;
    struct wal *wal;

    assert_int_equal(wal_open(&options, &fixture->reason, &recovered, &wal), ERR_OK);

    assert_int_equal(recovered.entries_count, 0);
    wal_recovered_deinit(&recovered);
    wal_close(wal);
    member_dir_close(dir);
}

static void test_a_folder_with_files_is_not_formatted(void **state)
{
    struct fixture *fixture = *state;
    folder_overwrite(&fixture->parent, "precious", 0, "data");

    enum error error =
        member_dir_format(fixture->parent.path, &fixture->identity, 0, &fixture->reason);

    assert_int_equal(error, ERR_EXISTS);
    assert_non_null(strstr(fixture->reason.text, "is not empty"));
}

static void test_a_folder_is_not_formatted_twice(void **state)
{
    struct fixture *fixture = *state;
    format(fixture);

    enum error error = member_dir_format(fixture->path, &fixture->identity, 0, &fixture->reason);

    assert_int_equal(error, ERR_EXISTS);
}

static void test_a_bad_name_is_refused(void **state)
{
    struct fixture *fixture = *state;
    (void)snprintf(fixture->identity.name, MEMBER_NAME_SIZE, "two words");

    enum error error = member_dir_format(fixture->path, &fixture->identity, 0, &fixture->reason);

    assert_int_equal(error, ERR_INVALID);
}

static void test_a_folder_that_is_not_formatted_says_how_to(void **state)
{
    struct fixture *fixture = *state;
    struct member_expected nothing = {0};

    expect_refusal(fixture, &nothing, ERR_NOT_FOUND, "run \"indaba member init\"");
}

static void test_another_clusters_folder_is_refused(void **state)
{
    struct fixture *fixture = *state;
    format(fixture);
    struct member_expected expected = {.cluster = {.hi = 0x11, .lo = 0x13}};

    expect_refusal(fixture, &expected, ERR_WRONG_CLUSTER, "belongs to cluster");
}

static void test_another_members_folder_is_refused(void **state)
{
    struct fixture *fixture = *state;
    format(fixture);
    struct member_expected by_id = {.member = {.hi = 0x21, .lo = 0x23}};
    struct member_expected by_name = {.name = "lagos-2"};

    expect_refusal(fixture, &by_id, ERR_WRONG_MEMBER, "belongs to member");
    expect_refusal(fixture, &by_name, ERR_WRONG_MEMBER, "belongs to member \"lagos-1\"");
}

static void test_a_folder_in_use_is_refused_with_the_pid(void **state)
{
    struct fixture *fixture = *state;
    format(fixture);
    struct member_dir *dir = open_dir(fixture);
    char says[64];
    (void)snprintf(says, sizeof(says), "in use by process %ld", (long)getpid());
    struct member_expected nothing = {0};

    expect_refusal(fixture, &nothing, ERR_BUSY, says);

    member_dir_close(dir);
    member_dir_close(open_dir(fixture));
}

static void test_a_killed_process_leaves_no_lock(void **state)
{
    struct fixture *fixture = *state;
    format(fixture);
    int ready[2];
    assert_int_equal(pipe(ready), 0);
    pid_t child = fork();
    assert_true(child >= 0);
    if (child == 0) {
        struct member_expected nothing = {0};
        struct member_dir *dir;
        bool opened = member_dir_open(fixture->path, &nothing, &fixture->reason, &dir) == ERR_OK;
        (void)!write(ready[1], opened ? "y" : "n", 1);
        (void)pause();
        _exit(0);
    }
    char answer = 0;
    assert_int_equal(read(ready[0], &answer, 1), 1);
    assert_int_equal(answer, 'y');
    struct member_expected nothing = {0};
    expect_refusal(fixture, &nothing, ERR_BUSY, "in use by process");

    assert_int_equal(kill(child, SIGKILL), 0);
    assert_int_equal(waitpid(child, NULL, 0), child);

    member_dir_close(open_dir(fixture));
    (void)close(ready[0]);
    (void)close(ready[1]);
}

static void test_any_changed_byte_of_the_identity_is_noticed(void **state)
{
    struct fixture *fixture = *state;
    struct buf text = {0};
    member_identity_encode(&fixture->identity, &text);
    for (size_t i = 0; i < text.len; i++) {
        for (uint8_t bit = 0; bit < 8; bit++) {
            text.data[i] = (uint8_t)(text.data[i] ^ 1U << bit);
            struct member_identity identity;
            enum error error = member_identity_decode(buf_view(&text), &fixture->reason, &identity);
            if (error == ERR_OK) {
                fail_msg("byte %zu bit %d changed and was not noticed", i, bit);
            }
            text.data[i] = (uint8_t)(text.data[i] ^ 1U << bit);
        }
    }
    buf_deinit(&text);
}

static void test_a_shortened_identity_is_noticed(void **state)
{
    struct fixture *fixture = *state;
    struct buf text = {0};
    member_identity_encode(&fixture->identity, &text);
    for (size_t len = 0; len < text.len; len++) {
        struct member_identity identity;
        assert_int_not_equal(
            member_identity_decode(slice_of(text.data, len), &fixture->reason, &identity), ERR_OK);
    }
    buf_deinit(&text);
}

int main(void)
{
#define DIR_TEST(name) cmocka_unit_test_setup_teardown(name, setup, teardown)
    const struct CMUnitTest tests[] = {
        DIR_TEST(test_a_formatted_folder_opens_with_its_identity),
        DIR_TEST(test_a_formatted_folder_holds_an_empty_log_of_that_member),
        DIR_TEST(test_a_folder_with_files_is_not_formatted),
        DIR_TEST(test_a_folder_is_not_formatted_twice),
        DIR_TEST(test_a_bad_name_is_refused),
        DIR_TEST(test_a_folder_that_is_not_formatted_says_how_to),
        DIR_TEST(test_another_clusters_folder_is_refused),
        DIR_TEST(test_another_members_folder_is_refused),
        DIR_TEST(test_a_folder_in_use_is_refused_with_the_pid),
        DIR_TEST(test_a_killed_process_leaves_no_lock),
        DIR_TEST(test_any_changed_byte_of_the_identity_is_noticed),
        DIR_TEST(test_a_shortened_identity_is_noticed),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
