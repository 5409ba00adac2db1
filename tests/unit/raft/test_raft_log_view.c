/* SPDX-License-Identifier: Apache-2.0 */
/* Goal: the log in memory answers as a plain array would, and knows what the disk must be told.
 * Method: random appends and cuts beside a naive model. */
#include "raft/log_view.h"
#include "raft/raft.h"

#include "base/prng.h"
#include "tests/support/support_seed.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>

#include <cmocka.h>

static const struct raft_configuration founding = {
    .servers = {{.id = {.lo = 1}, .voter = true}},
    .count = 1,
};

static void append(struct log_view *log, uint64_t term)
{
    struct blob *payload = blob_new(slice_of_string("12345678"));
    struct raft_entry entry = {.term = term,
                               .index = log_view_last_index(log) + 1,
                               .kind = RAFT_ENTRY_COMMAND,
                               .payload = payload};
    log_view_append(log, &entry);
    blob_unref(payload);
}

static uint64_t naive_floor(const struct log_view *log, uint64_t index, uint64_t term)
{
    uint64_t last = log_view_last_index(log);
    uint64_t at = index < last ? index : last;
    while (at > log->base_index && log_view_term(log, at) > term) {
        at--;
    }
    return at < log->base_index ? log->base_index : at;
}

static void test_floor_of_term_agrees_with_a_walk(void **state)
{
    (void)state;
    struct prng prng;
    prng_init(&prng, support_seed());
    for (int run = 0; run < 300; run++) {
        struct log_view log;
        uint64_t base = prng_below(&prng, 3) * 10;
        log_view_init(&log, base, base > 0 ? 1 : 0);
        log_view_set_base(&log, log.base_index, &founding);
        uint64_t term = 1;
        uint64_t count = prng_below(&prng, 60);
        for (uint64_t i = 0; i < count; i++) {
            term += prng_chance(&prng, 200) ? prng_below(&prng, 3) : 0;
            append(&log, term);
        }
        for (uint64_t index = base; index < base + 70; index++) {
            for (uint64_t at_most = 0; at_most <= term + 1; at_most++) {
                assert_int_equal(log_view_floor_of_term(&log, index, at_most),
                                 naive_floor(&log, index, at_most));
            }
        }
        log_view_deinit(&log);
    }
}

static void test_a_cut_of_entries_never_written_tells_the_disk_nothing(void **state)
{
    (void)state;
    struct log_view log;
    log_view_init(&log, 0, 0);
    log_view_set_base(&log, log.base_index, &founding);
    for (int i = 0; i < 4; i++) {
        append(&log, 1);
    }
    log.unwritten_from = 3; /* 1 and 2 are in a write */
    log_view_cut(&log, 3);
    assert_int_equal(log.truncate_from, 0);
    log_view_cut(&log, 2);
    assert_int_equal(log.truncate_from, 2);
    assert_int_equal(log.unwritten_from, 2);
    append(&log, 2);
    log_view_check_invariants(&log);
    log_view_deinit(&log);
}

static void test_a_batch_holds_what_fits_and_at_least_one(void **state)
{
    (void)state;
    struct log_view log;
    log_view_init(&log, 0, 0);
    log_view_set_base(&log, log.base_index, &founding);
    for (int i = 0; i < 5; i++) {
        append(&log, 1);
    }
    uint64_t one = log_view_entry_bytes(log_view_at(&log, 1));
    uint64_t bytes = 0;
    assert_int_equal(log_view_batch(&log, 1, 1, &bytes), 1);
    assert_int_equal(bytes, one);
    assert_int_equal(log_view_batch(&log, 2, 3 * one, &bytes), 3);
    assert_int_equal(bytes, 3 * one);
    assert_int_equal(log_view_batch(&log, 4, 100 * one, &bytes), 2);
    assert_int_equal(log_view_batch(&log, 6, 100 * one, &bytes), 0);
    log_view_deinit(&log);
}

static void test_places_outside_the_log_have_no_entry_and_match_nothing(void **state)
{
    (void)state;
    struct log_view log;
    log_view_init(&log, 10, 3);
    log_view_set_base(&log, log.base_index, &founding);
    append(&log, 4);
    assert_null(log_view_at(&log, 10));
    assert_null(log_view_at(&log, 12));
    assert_null(log_view_at(&log, 0));
    assert_non_null(log_view_at(&log, 11));
    assert_true(log_view_matches(&log, 10, 3));
    assert_false(log_view_matches(&log, 9, 0));
    assert_false(log_view_matches(&log, 12, 0));
    assert_int_equal(log_view_last_term(&log), 4);
    log_view_deinit(&log);
}

static void test_configurations_come_and_go_with_their_entries(void **state)
{
    (void)state;
    struct log_view log;
    log_view_init(&log, 0, 0);
    log_view_set_base(&log, log.base_index, &founding);
    for (uint32_t voters = 2; voters <= 9; voters++) {
        struct raft_configuration next = {.count = voters};
        for (uint32_t i = 0; i < voters; i++) {
            next.servers[i] = (struct raft_server){.id = {.lo = i + 1}, .voter = true};
        }
        struct buf bytes = {0};
        raft_configuration_encode(&next, &bytes);
        struct raft_entry entry = {.term = 1,
                                   .index = log_view_last_index(&log) + 1,
                                   .kind = RAFT_ENTRY_CONFIGURATION,
                                   .payload = blob_new(buf_view(&bytes))};
        log_view_append(&log, &entry);
        blob_unref(entry.payload);
        buf_deinit(&bytes);
        append(&log, 1);
        assert_int_equal(log_view_configuration(&log)->count, voters);
    }
    log_view_cut(&log, 6);
    assert_int_equal(log_view_configuration(&log)->count, 4);
    log_view_cut(&log, 5);
    assert_int_equal(log_view_configuration(&log)->count, 3);
    log_view_cut(&log, 1);
    assert_int_equal(log_view_configuration(&log)->count, 1);
    log_view_deinit(&log);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_floor_of_term_agrees_with_a_walk),
        cmocka_unit_test(test_a_cut_of_entries_never_written_tells_the_disk_nothing),
        cmocka_unit_test(test_a_batch_holds_what_fits_and_at_least_one),
        cmocka_unit_test(test_places_outside_the_log_have_no_entry_and_match_nothing),
        cmocka_unit_test(test_configurations_come_and_go_with_their_entries),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
