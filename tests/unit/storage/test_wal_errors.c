/* SPDX-License-Identifier: Apache-2.0 */
/* Goal: the first failed call of the disk ends the log and is never repeated; when the disk is well
 * again, everything acknowledged is there. Method: one script of calls, in which each changing call
 * fails in turn, with each error. */
#include "tests/unit/storage/storage_test.h"

#include "base/log.h"
#include "base/mem.h"
#include "storage/wal_segment.h"
#include "tests/unit/storage/wal_fixture.h"
#include "tests/unit/storage/wal_model.h"

#include <string.h>

enum {
    SCRIPT_STEPS = 40,
    SCRIPT_SEGMENT = 1024
};

static void discard(enum log_level level, const char *line, void *ctx)
{
    (void)level;
    (void)line;
    (void)ctx;
}

/* Step `step` of the script; the model follows what was acknowledged. */
static enum error take_step(struct wal_fixture *log, struct wal_model *model, int step)
{
    if (step == 30) {
        model->cut = 10;
        return wal_cut(log->wal, 10);
    }
    struct raft_write write = wal_fixture_write(model->last + 1, 2, (uint64_t)step / 10 + 1, 30);
    if (step == 20) {
        wal_fixture_free_write(&write);
        write = wal_fixture_write(model->last - 1, 2, 3, 30);
        write.truncate_from = model->last - 1;
    }
    if (step % 10 == 0) {
        write.has_hard_state = true;
        write.hard_state.term = (uint64_t)step / 10 + 1;
    }
    enum error error = wal_append(log->wal, &write, 1);
    if (error == ERR_OK) {
        wal_model_apply(model, &write);
    }
    wal_fixture_free_write(&write);
    return error;
}

static enum error run_script(struct wal_fixture *log, struct wal_model *model)
{
    for (int step = 0; step < SCRIPT_STEPS; step++) {
        enum error error = take_step(log, model, step);
        if (error != ERR_OK) {
            return error;
        }
    }
    return ERR_OK;
}

/* Acknowledged entries are there; later ones may be, if their write was under way. */
static void expect_acknowledged(const struct wal_fixture *log, const struct wal_model *model)
{
    const struct wal_recovered *recovered = &log->recovered;
    uint64_t last = recovered->first_index + recovered->entries_count - 1;
    assert_true(recovered->first_index == 1 || recovered->first_index <= model->cut);
    /* A truncation that was under way may be all that happened: it takes two entries. */
    assert_true(last + 2 >= model->last);
    for (uint64_t i = 0; i < recovered->entries_count; i++) {
        uint64_t index = recovered->first_index + i;
        if (index + 1 < model->last) {
            assert_int_equal(recovered->entries[i].term, model->terms[index]);
        }
    }
    assert_true(recovered->hard_state.term >= model->hard_state.term);
}

static void fail_each_call_with(enum error wanted, bool power_cut)
{
    for (uint64_t nth = 1;; nth++) {
        struct wal_fixture log;
        struct wal_model *model = mem_new(sizeof(*model));
        wal_fixture_init(&log, nth, SCRIPT_SEGMENT);
        fault_disk_fail_nth(log.disk, nth, wanted);

        enum error error = run_script(&log, model);

        bool script_ended = error == ERR_OK;
        if (!script_ended) {
            assert_int_equal(error, wanted);
            assert_non_null(strstr(wal_reason(log.wal)->text, "This member must stop"));
            uint64_t changes = fault_disk_changes(log.disk);
            assert_int_equal(take_step(&log, model, 1), ERR_CLOSED);
            assert_int_equal(wal_cut(log.wal, 2), ERR_CLOSED);
            assert_int_equal(wal_restart(log.wal, 2), ERR_CLOSED);
            assert_int_equal(wal_prepare(log.wal), ERR_CLOSED);
            assert_int_equal(fault_disk_changes(log.disk), changes);
        }
        wal_fixture_close(&log);
        if (power_cut) {
            fault_disk_crash(log.disk);
        } else {
            fault_disk_kill(log.disk);
        }
        if (wal_fixture_open(&log) != ERR_OK) {
            fail_msg("call %d: %s", (int)nth, log.reason.text);
        }
        expect_acknowledged(&log, model);
        wal_fixture_deinit(&log);
        mem_free(model);
        if (script_ended) {
            assert_true(nth > 50);
            return;
        }
    }
}

static void test_no_space_at_any_call_ends_the_log_and_loses_nothing(void **state)
{
    (void)state;
    fail_each_call_with(ERR_NO_SPACE, false);
}

static void test_an_io_error_at_any_call_ends_the_log_and_loses_nothing(void **state)
{
    (void)state;
    fail_each_call_with(ERR_IO, false);
}

static void test_nothing_is_lost_when_power_is_cut_after_an_error(void **state)
{
    (void)state;
    fail_each_call_with(ERR_IO, true);
}

static void test_a_failed_sync_is_not_repeated(void **state)
{
    (void)state;
    struct wal_fixture log;
    wal_fixture_init(&log, 3, FIXTURE_SEGMENT_BYTES);
    assert_int_equal(wal_fixture_append(&log, 1, 1, 1), ERR_OK);
    fault_disk_fail_nth_sync(log.disk, 1, ERR_IO);
    uint64_t syncs = fault_disk_syncs(log.disk);

    assert_int_equal(wal_fixture_append(&log, 2, 1, 1), ERR_IO);

    assert_int_equal(wal_fixture_append(&log, 3, 1, 1), ERR_CLOSED);
    assert_int_equal(fault_disk_syncs(log.disk), syncs + 1);
    wal_fixture_deinit(&log);
}

/* After a failed sync the cache shows bytes that the disk never got, and a new sync says all is
 * well. Recovery must not count them as durable before it has written them again. */
static void test_what_the_cache_shows_after_a_failed_sync_is_written_again(void **state)
{
    (void)state;
    for (uint64_t seed = 1; seed <= 50; seed++) {
        struct wal_fixture log;
        wal_fixture_init(&log, seed, FIXTURE_SEGMENT_BYTES);
        assert_int_equal(wal_fixture_append(&log, 1, 1, 1), ERR_OK);
        fault_disk_fail_nth_sync(log.disk, 1, ERR_IO);
        assert_int_equal(wal_fixture_append(&log, 2, 1, 1), ERR_IO);
        wal_fixture_close(&log);
        fault_disk_kill(log.disk);
        assert_int_equal(wal_fixture_open(&log), ERR_OK);
        uint64_t seen = log.recovered.entries_count;

        wal_fixture_crash_and_open(&log);

        assert_int_equal(log.recovered.entries_count, seen);
        wal_fixture_deinit(&log);
    }
}

static void test_a_full_disk_leaves_no_half_segment_and_recovers_when_freed(void **state)
{
    (void)state;
    struct wal_fixture log;
    wal_fixture_init(&log, 4, FIXTURE_SEGMENT_BYTES);
    fault_disk_set_capacity(log.disk, FIXTURE_SEGMENT_BYTES + 100);
    uint64_t last = 0;
    enum error error;
    do {
        error = wal_fixture_append(&log, last + 1, 1, 1);
        last += error == ERR_OK ? 1 : 0;
    } while (error == ERR_OK);
    assert_int_equal(error, ERR_NO_SPACE);
    uint64_t free_bytes = 0;
    assert_int_equal(log.options.disk->free_bytes(log.options.disk->ctx, "wal", &free_bytes),
                     ERR_OK);
    assert_int_equal(free_bytes, 100);

    fault_disk_set_capacity(log.disk, UINT64_MAX / 2);
    wal_fixture_crash_and_open(&log);

    wal_fixture_expect(&log, 1, last);
    assert_int_equal(wal_fixture_append(&log, last + 1, 1, 1), ERR_OK);
    wal_fixture_deinit(&log);
}

static void test_no_room_for_a_spare_segment_is_not_the_end(void **state)
{
    (void)state;
    struct wal_fixture log;
    wal_fixture_init(&log, 4, FIXTURE_SEGMENT_BYTES);
    fault_disk_set_capacity(log.disk, FIXTURE_SEGMENT_BYTES + 100);

    assert_int_equal(wal_prepare(log.wal), ERR_NO_SPACE);

    assert_false(wal_is_prepared(log.wal));
    assert_int_equal(wal_fixture_append(&log, 1, 1, 1), ERR_OK);
    wal_fixture_deinit(&log);
}

static void test_a_format_that_fails_says_so(void **state)
{
    (void)state;
    struct fault_disk *disk = fault_disk_new(1);
    struct wal_options options = {.disk = fault_disk_ops(disk), .path = "wal", .seed = 1};
    fault_disk_set_capacity(disk, 1000);
    struct reason reason;

    assert_int_equal(wal_format(&options, &reason), ERR_NO_SPACE);

    assert_non_null(strstr(reason.text, "cannot make a log in wal"));
    fault_disk_set_capacity(disk, UINT64_MAX / 2);
    assert_int_equal(wal_format(&options, &reason), ERR_OK);
    fault_disk_free(disk);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_no_space_at_any_call_ends_the_log_and_loses_nothing),
        cmocka_unit_test(test_an_io_error_at_any_call_ends_the_log_and_loses_nothing),
        cmocka_unit_test(test_nothing_is_lost_when_power_is_cut_after_an_error),
        cmocka_unit_test(test_a_failed_sync_is_not_repeated),
        cmocka_unit_test(test_what_the_cache_shows_after_a_failed_sync_is_written_again),
        cmocka_unit_test(test_a_full_disk_leaves_no_half_segment_and_recovers_when_freed),
        cmocka_unit_test(test_no_room_for_a_spare_segment_is_not_the_end),
        cmocka_unit_test(test_a_format_that_fails_says_so),
    };
    log_set_sink(discard, NULL);
    return cmocka_run_group_tests(tests, NULL, NULL);
}
