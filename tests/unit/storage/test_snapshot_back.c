/* SPDX-License-Identifier: Apache-2.0 */
/* Goal: a state is made anew from as far back as sound snapshots and the log reach, and nothing is
 * removed where there is no way back. Method: snapshots of a row, on a disk in memory. */
#include "tests/unit/storage/storage_test.h"

#include "storage/snapshot_back.h"
#include "tests/support/fault_disk.h"

struct place {
    struct fault_disk *fault;
    struct snapshot_dir dir;
};

/* One row. */
static void
scan_row(void *ctx, enum table table, struct slice from, tables_visit visit, void *visit_ctx)
{
    (void)ctx;
    (void)from;
    if (table == TABLE_META) {
        (void)visit(slice_of_string("key"), slice_of_string("value"), visit_ctx);
    }
}

static const struct tables_ops ROW_OPS = {.scan = scan_row};

/* Snapshots at 10 and 20. */
static int setup(void **state)
{
    static struct place place;
    place.fault = fault_disk_new(1);
    place.dir = (struct snapshot_dir){.disk = fault_disk_ops(place.fault), .path = "snapshots"};
    const struct tables tables = {.ops = &ROW_OPS};
    for (uint64_t index = 10; index <= 20; index += 10) {
        const struct snapshot_header header = {
            .index = index, .term = 2, .configuration = {1}, .configuration_len = 1};
        struct snapshot_info info;
        struct reason reason = {0};
        assert_int_equal(snapshot_dir_take(&place.dir, &header, &tables, &reason, &info), ERR_OK);
    }
    *state = &place;
    return 0;
}

static int teardown(void **state)
{
    struct place *place = *state;
    fault_disk_free(place->fault);
    return 0;
}

static void rot(struct place *place, uint64_t index)
{
    const struct snapshot_info info = {.index = index, .term = 2};
    char path[SNAPSHOT_PATH_SIZE];
    snapshot_dir_path(&place->dir, &info, path);
    fault_disk_flip(place->fault, path, fault_disk_view(place->fault, path).len - 1, 1);
}

static enum error go_back(struct place *place, uint64_t first_index, uint64_t *index_out)
{
    struct snapshot_info base = {0};
    struct reason reason = {0};
    enum error error = snapshot_back(&place->dir, first_index, &reason, &base);
    assert_true(error == ERR_OK || reason.text[0] != '\0');
    *index_out = base.index;
    return error;
}

static void expect_left(struct place *place, uint32_t count, uint64_t newest)
{
    struct snapshot_list list;
    struct reason reason = {0};
    fault_disk_crash(place->fault);
    assert_int_equal(snapshot_dir_list(&place->dir, &reason, &list), ERR_OK);
    assert_int_equal(list.count, count);
    assert_true(count == 0 || list.infos[0].index == newest);
}

static void test_a_whole_log_needs_no_snapshot(void **state)
{
    uint64_t base;
    assert_int_equal(go_back(*state, 1, &base), ERR_OK);
    assert_int_equal(base, 0);
    expect_left(*state, 0, 0);
}

static void test_the_oldest_snapshot_that_the_log_follows_is_taken(void **state)
{
    uint64_t base;
    assert_int_equal(go_back(*state, 5, &base), ERR_OK);
    assert_int_equal(base, 10);
    expect_left(*state, 1, 10);
}

static void test_a_snapshot_that_the_log_does_not_follow_is_of_no_use(void **state)
{
    uint64_t base;
    assert_int_equal(go_back(*state, 12, &base), ERR_OK);
    assert_int_equal(base, 20);
    expect_left(*state, 2, 20);
}

static void test_a_rotten_snapshot_gives_way_to_a_newer_one(void **state)
{
    uint64_t base;
    rot(*state, 10);
    assert_int_equal(go_back(*state, 11, &base), ERR_OK);
    assert_int_equal(base, 20);
    expect_left(*state, 2, 20);
}

static void test_nothing_is_removed_where_there_is_no_way_back(void **state)
{
    uint64_t base;
    assert_int_equal(go_back(*state, 22, &base), ERR_CORRUPT);
    expect_left(*state, 2, 20);
    rot(*state, 20);
    assert_int_equal(go_back(*state, 12, &base), ERR_CORRUPT);
    expect_left(*state, 2, 20);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test_setup_teardown(test_a_whole_log_needs_no_snapshot, setup, teardown),
        cmocka_unit_test_setup_teardown(
            test_the_oldest_snapshot_that_the_log_follows_is_taken, setup, teardown),
        cmocka_unit_test_setup_teardown(
            test_a_snapshot_that_the_log_does_not_follow_is_of_no_use, setup, teardown),
        cmocka_unit_test_setup_teardown(
            test_a_rotten_snapshot_gives_way_to_a_newer_one, setup, teardown),
        cmocka_unit_test_setup_teardown(
            test_nothing_is_removed_where_there_is_no_way_back, setup, teardown),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
