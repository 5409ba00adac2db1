/* SPDX-License-Identifier: Apache-2.0 */
/* Goal: what a sidecar keeps comes back as it was saved, and a damaged file is never taken for one
 * of ours: forgetting a fence would let an epoch that is over be written in again. */
#include "base/hash.h"
#include "replication/durable_file.h"
#include "replication/keeper.h"
#include "replication/kept_formats.h"
#include "replication/speakers.h"
#include "tests/support/support_tmpdir.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>
#include <uv.h>

#include <cmocka.h>

enum {
    PATH_SIZE = 256
};

static const struct keeper_state STATE = {
    .epoch.value = 7,
    .goal_index = 99,
    .goal_role = GOAL_CUT,
    .cut_from.value = 3,
    .cut_epoch.value = 7,
    .fenced_epoch.value = 6,
    .cluster_epoch = 2,
    .incarnation.value = 0x1122334455667788,
    .building = true,
    .writable_epoch.value = 5,
    .promoted_fork = {.epoch = 5, .timeline = 4, .parent_timeline = 2, .fork_lsn = 0x3000060},
};

static void make_path(char *path, const char *name)
{
    (void)snprintf(path, PATH_SIZE, "%s/%s", support_tmpdir("state"), name);
}

static void test_a_saved_state_comes_back_field_by_field(void **state)
{
    char path[PATH_SIZE];
    struct keeper_state loaded = {0};
    (void)state;
    make_path(path, "keeper.state");

    assert_int_equal(kept_file_write(path, &KEPT_STATE, &STATE), ERR_OK);
    assert_int_equal(kept_file_read(path, &KEPT_STATE, &loaded), ERR_OK);

    assert_int_equal(loaded.epoch.value, 7);
    assert_int_equal(loaded.goal_index, 99);
    assert_int_equal(loaded.goal_role, GOAL_CUT);
    assert_int_equal(loaded.cut_from.value, 3);
    assert_int_equal(loaded.cut_epoch.value, 7);
    assert_int_equal(loaded.fenced_epoch.value, 6);
    assert_int_equal(loaded.cluster_epoch, 2);
    assert_int_equal(loaded.incarnation.value, 0x1122334455667788);
    assert_true(loaded.building);
    assert_int_equal(loaded.writable_epoch.value, 5);
    assert_int_equal(loaded.promoted_fork.epoch, 5);
    assert_int_equal(loaded.promoted_fork.timeline, 4);
    assert_int_equal(loaded.promoted_fork.parent_timeline, 2);
    assert_int_equal(loaded.promoted_fork.fork_lsn, 0x3000060);
}

static void test_a_state_never_written_is_told_from_a_damaged_one(void **state)
{
    char path[PATH_SIZE];
    struct keeper_state loaded = STATE;
    (void)state;
    make_path(path, "none");

    assert_int_equal(kept_file_read(path, &KEPT_STATE, &loaded), ERR_NOT_FOUND);
    assert_int_equal(loaded.epoch.value, 7); /* untouched */
}

static void test_every_flipped_bit_and_every_cut_is_found(void **state)
{
    char path[PATH_SIZE];
    uint8_t bytes[512];
    size_t len = 0;
    struct keeper_state loaded = {0};
    (void)state;
    make_path(path, "keeper.state");
    assert_int_equal(kept_file_write(path, &KEPT_STATE, &STATE), ERR_OK);
    assert_int_equal(durable_file_read(path, bytes, sizeof(bytes), &len), ERR_OK);

    for (size_t bit = 0; bit < len * 8; bit += 3) {
        bytes[bit / 8] ^= (uint8_t)(1u << (bit % 8));
        assert_int_equal(durable_file_write(path, bytes, len, NULL), ERR_OK);
        assert_int_equal(kept_file_read(path, &KEPT_STATE, &loaded), ERR_CORRUPT);
        bytes[bit / 8] ^= (uint8_t)(1u << (bit % 8));
    }
    for (size_t cut = 0; cut < len; cut++) {
        assert_int_equal(durable_file_write(path, bytes, cut, NULL), ERR_OK);
        assert_int_equal(kept_file_read(path, &KEPT_STATE, &loaded), ERR_CORRUPT);
    }
    assert_int_equal(durable_file_write(path, bytes, len, NULL), ERR_OK);
    assert_int_equal(kept_file_read(path, &KEPT_STATE, &loaded), ERR_OK);
}

/* Version 1 ended before the cluster epoch. */
static void test_a_state_of_the_first_version_is_read_as_one_without_recoveries(void **state)
{
    char path[PATH_SIZE];
    uint8_t bytes[512];
    size_t len = 0;
    struct keeper_state loaded = {0};
    struct buf first = {0};
    (void)state;
    make_path(path, "keeper.state");
    assert_int_equal(kept_file_write(path, &KEPT_STATE, &STATE), ERR_OK);
    assert_int_equal(durable_file_read(path, bytes, sizeof(bytes), &len), ERR_OK);

    size_t body_len = len - sizeof(uint64_t) - sizeof(uint32_t);
    bytes[4] = 1;
    buf_append(&first, bytes, body_len);
    buf_put_u64(&first, hash_xxh3(first.data, first.len, 0));
    assert_int_equal(durable_file_write(path, first.data, first.len, NULL), ERR_OK);

    assert_int_equal(kept_file_read(path, &KEPT_STATE, &loaded), ERR_OK);
    assert_int_equal(loaded.cluster_epoch, 0);
    assert_int_equal(loaded.goal_index, 99);
    buf_deinit(&first);
}

static void test_a_save_replaces_the_whole_file_and_leaves_nothing_beside_it(void **state)
{
    char path[PATH_SIZE];
    char beside[PATH_SIZE + 8];
    struct stat before;
    struct stat after;
    (void)state;
    make_path(path, "keeper.state");
    assert_int_equal(kept_file_write(path, &KEPT_STATE, &STATE), ERR_OK);
    assert_int_equal(stat(path, &before), 0);

    assert_int_equal(kept_file_write(path, &KEPT_STATE, &STATE), ERR_OK);

    assert_int_equal(stat(path, &after), 0);
    assert_true(before.st_ino != after.st_ino); /* another file took the name */
    assert_int_equal(after.st_mode & 0777, 0600);
    (void)snprintf(beside, sizeof(beside), "%s.new", path);
    assert_int_not_equal(access(beside, F_OK), 0);
}

static void test_a_link_planted_beside_a_file_is_not_followed(void **state)
{
    char path[PATH_SIZE];
    char beside[PATH_SIZE + 8];
    char victim[PATH_SIZE];
    uint8_t bytes[16];
    size_t len = 0;
    (void)state;
    make_path(path, "file");
    make_path(victim, "victim");
    (void)snprintf(beside, sizeof(beside), "%s.new", path);
    assert_int_equal(durable_file_write(victim, "safe", 4, NULL), ERR_OK);
    assert_int_equal(symlink(victim, beside), 0);

    assert_int_equal(durable_file_write(path, "data", 4, NULL), ERR_OK);

    assert_int_equal(durable_file_read(victim, bytes, sizeof(bytes), &len), ERR_OK);
    assert_memory_equal(bytes, "safe", 4);
    assert_int_equal(durable_file_read(path, bytes, 3, &len), ERR_LIMIT);
}

static void test_marks_come_back_and_are_not_taken_for_a_state(void **state)
{
    char path[PATH_SIZE];
    struct kept_marks kept = {
        .marks.acked = {.timeline = 2, .lsn = 77},
        .anchor = {.incarnation = 9, .position = {2, 95}, .fingerprint = 17, .writable_epoch = 3},
    };
    struct kept_marks loaded = {0};
    struct keeper_state other = STATE;
    (void)state;
    make_path(path, "keeper.state.marks");
    marks_raise(&kept.marks,
                (struct sync_member){.instance.value = 3, .incarnation.value = 9},
                (struct position){.timeline = 2, .lsn = 99});

    assert_int_equal(kept_file_write(path, &KEPT_MARKS, &kept), ERR_OK);

    assert_int_equal(kept_file_read(path, &KEPT_MARKS, &loaded), ERR_OK);
    assert_true(marks_equal(&loaded.marks, &kept.marks));
    assert_true(lineage_anchor_equal(&loaded.anchor, &kept.anchor));
    assert_int_equal(kept_file_read(path, &KEPT_STATE, &other), ERR_CORRUPT);
    assert_int_equal(other.epoch.value, 7); /* untouched */
}

static void test_the_record_of_the_coordinators_comes_back(void **state)
{
    char path[PATH_SIZE];
    struct speakers speakers = {
        .items = {{.id = {1, 2}, .name = "n1", .api_address = "10.0.0.1:7000"},
                  {.id = {3, 4}, .name = "n2", .api_address = "10.0.0.2:7000"}},
        .count = 2,
        .mode = SHARD_SYNC,
    };
    struct speakers loaded = {0};
    (void)state;
    make_path(path, "members");

    assert_int_equal(kept_file_write(path, &KEPT_SPEAKERS, &speakers), ERR_OK);

    assert_int_equal(kept_file_read(path, &KEPT_SPEAKERS, &loaded), ERR_OK);
    assert_int_equal(loaded.count, 2);
    assert_int_equal(loaded.mode, SHARD_SYNC);
    assert_true(speakers_know(&loaded, (struct member_id){3, 4}, "n2"));
    assert_string_equal(loaded.items[0].api_address, "10.0.0.1:7000");
}

static void test_a_file_longer_than_any_of_ours_is_damaged(void **state)
{
    static const uint8_t LONG[KEPT_FILE_SIZE_MAX + 1];
    char path[PATH_SIZE];
    struct speakers loaded = {0};
    (void)state;
    make_path(path, "members");
    assert_int_equal(durable_file_write(path, LONG, sizeof(LONG), NULL), ERR_OK);

    assert_int_equal(kept_file_read(path, &KEPT_SPEAKERS, &loaded), ERR_CORRUPT);
}

struct saved {
    uint32_t count;
    enum error error;
};

static void on_saved(enum error error, void *ctx)
{
    struct saved *saved = ctx;
    saved->count++;
    saved->error = error;
}

static void on_closed(void *ctx)
{
    (void)ctx;
}

static void test_a_save_is_told_once_it_is_durable_and_never_waited_for(void **state)
{
    char path[PATH_SIZE];
    struct keeper_state loaded = {0};
    struct saved saved = {0};
    uv_loop_t loop;
    (void)state;
    make_path(path, "keeper.state");
    assert_int_equal(uv_loop_init(&loop), 0);
    struct kept_file *file = kept_file_new(&loop, path, &KEPT_STATE, on_saved, &saved);

    kept_file_save(file, &STATE);
    assert_int_equal(saved.count, 0);
    assert_false(kept_file_is_idle(file));
    while (saved.count == 0) {
        (void)uv_run(&loop, UV_RUN_ONCE);
    }

    assert_int_equal(saved.error, ERR_OK);
    assert_true(kept_file_is_idle(file));
    assert_int_equal(kept_file_read(path, &KEPT_STATE, &loaded), ERR_OK);
    assert_int_equal(loaded.epoch.value, 7);
    kept_file_free(file, on_closed, NULL);
    assert_int_equal(uv_run(&loop, UV_RUN_DEFAULT), 0);
    assert_int_equal(uv_loop_close(&loop), 0);
}

static void test_a_save_that_fails_is_told(void **state)
{
    char path[PATH_SIZE];
    struct saved saved = {0};
    uv_loop_t loop;
    (void)state;
    make_path(path, "no-such-folder/keeper.state");
    assert_int_equal(uv_loop_init(&loop), 0);
    struct kept_file *file = kept_file_new(&loop, path, &KEPT_STATE, on_saved, &saved);

    kept_file_save(file, &STATE);
    while (saved.count == 0) {
        (void)uv_run(&loop, UV_RUN_ONCE);
    }

    assert_int_equal(saved.error, ERR_NOT_FOUND);
    kept_file_free(file, on_closed, NULL);
    assert_int_equal(uv_run(&loop, UV_RUN_DEFAULT), 0);
    assert_int_equal(uv_loop_close(&loop), 0);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_a_saved_state_comes_back_field_by_field),
        cmocka_unit_test(test_a_state_never_written_is_told_from_a_damaged_one),
        cmocka_unit_test(test_every_flipped_bit_and_every_cut_is_found),
        cmocka_unit_test(test_a_state_of_the_first_version_is_read_as_one_without_recoveries),
        cmocka_unit_test(test_a_save_replaces_the_whole_file_and_leaves_nothing_beside_it),
        cmocka_unit_test(test_marks_come_back_and_are_not_taken_for_a_state),
        cmocka_unit_test(test_the_record_of_the_coordinators_comes_back),
        cmocka_unit_test(test_a_file_longer_than_any_of_ours_is_damaged),
        cmocka_unit_test(test_a_save_is_told_once_it_is_durable_and_never_waited_for),
        cmocka_unit_test(test_a_save_that_fails_is_told),
        cmocka_unit_test(test_a_link_planted_beside_a_file_is_not_followed),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
