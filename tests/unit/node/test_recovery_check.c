/* SPDX-License-Identifier: Apache-2.0 */
/* The agreement of a folder's log, snapshot and store. Goal: whatever a crash of our own can leave
 * is let through, whatever the core could not start from is refused with what to do. Method: facts
 * by hand and at random; those that are let through start a core. */
#include "node/recovery_check.h"

#include "base/prng.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

enum {
    ENTRIES_MAX = 8,
    RANDOM_FOLDERS = 20000,
    TERM = 5 /* the highest that any of them has */
};

struct folder {
    struct raft_entry entries[ENTRIES_MAX];
    struct recovery_facts facts;
    struct reason reason;
};

/* A log of `count` entries from `first` on, of one term. */
static void make(struct folder *folder, uint64_t first, uint32_t count, uint64_t term)
{
    *folder = (struct folder){0};
    for (uint32_t i = 0; i < count; i++) {
        folder->entries[i] = (struct raft_entry){
            .index = first + i,
            .term = term,
            .kind = RAFT_ENTRY_COMMAND,
        };
    }
    folder->facts = (struct recovery_facts){
        .log = {.first_index = first, .entries = folder->entries, .entries_count = count},
        .dir = "DIR",
        .store_path = "DIR/store",
    };
}

static void set_snapshot(struct folder *folder, uint64_t index, uint64_t term)
{
    folder->facts.snapshot_index = index;
    folder->facts.snapshot_term = term;
}

static void set_store(struct folder *folder, uint64_t index, uint64_t term)
{
    folder->facts.stored_index = index;
    folder->facts.stored_term = term;
}

/* Starts a core; the update of its first step. Entries get their payloads for that long. */
static void start(const struct folder *folder, struct raft_status *status_out, uint64_t *restart)
{
    struct raft_entry entries[ENTRIES_MAX];
    const struct recovery_facts *facts = &folder->facts;
    memcpy(entries, folder->entries, sizeof(entries));
    for (uint64_t i = 0; i < facts->log.entries_count; i++) {
        entries[i].payload = blob_new(slice_of_string("recovered"));
    }
    const struct raft_recovered recovered = {
        .hard_state = {.term = TERM},
        .entries = entries,
        .entries_count = facts->log.entries_count,
        .snapshot_index = facts->snapshot_index,
        .snapshot_term = facts->snapshot_term,
        .snapshot_size = facts->snapshot_index != 0 ? 100 : 0,
        .configuration = {.servers = {{.id = {.lo = 1}, .voter = true}}, .count = 1},
        .applied_index = facts->stored_index,
    };
    const struct raft_options options = {.self = {.lo = 1}, .seed = 1};
    struct raft *raft = raft_new(&options, &recovered, 0);
    for (uint64_t i = 0; i < facts->log.entries_count; i++) {
        blob_unref(entries[i].payload);
    }
    struct raft_update update;
    const struct raft_event tick = {.type = RAFT_EVENT_TICK, .now_ms = 0};
    raft_step(raft, &tick, &update);
    *restart = update.write.restart_index;
    raft_status(raft, status_out);
    raft_free(raft);
}

static void expect_start(struct folder *folder, uint64_t restart_expected)
{
    struct raft_status status;
    uint64_t restart = 0;
    if (recovery_check(&folder->facts, &folder->reason) != ERR_OK) {
        fail_msg("%s", folder->reason.text);
    }
    start(folder, &status, &restart);
    assert_int_equal(restart, restart_expected);
}

static void expect_refusal(struct folder *folder, const char *hint)
{
    assert_int_equal(recovery_check(&folder->facts, &folder->reason), ERR_CORRUPT);
    assert_non_null(strstr(folder->reason.text, hint));
}

static void test_an_install_cut_short_over_a_longer_log_of_another_term_starts(void **state)
{
    (void)state;
    struct folder folder;
    make(&folder, 1, 8, 2);
    set_snapshot(&folder, 5, 3);
    set_store(&folder, 5, 3);
    expect_start(&folder, 5);
}

static void test_an_install_cut_short_over_a_shorter_log_starts(void **state)
{
    (void)state;
    struct folder folder;
    make(&folder, 1, 3, 2);
    set_snapshot(&folder, 5, 2);
    set_store(&folder, 5, 2);
    expect_start(&folder, 5);
}

static void test_an_install_cut_short_before_an_empty_log_starts(void **state)
{
    (void)state;
    struct folder folder;
    make(&folder, 1, 0, 0);
    set_snapshot(&folder, 5, 2);
    set_store(&folder, 5, 2);
    expect_start(&folder, 5);
}

static void test_a_log_that_goes_on_behind_its_snapshot_starts(void **state)
{
    (void)state;
    struct folder folder;
    make(&folder, 6, 3, 2);
    set_snapshot(&folder, 5, 2);
    set_store(&folder, 7, 2);
    expect_start(&folder, 0);
}

static void test_a_log_whose_snapshot_was_removed_is_refused(void **state)
{
    (void)state;
    struct folder folder;
    make(&folder, 3, 6, 2);
    set_store(&folder, 8, 2);
    expect_refusal(&folder, "Put it back");
    /* Nor does an older one do, also where the store stands at it. */
    set_snapshot(&folder, 1, 1);
    set_store(&folder, 1, 1);
    expect_refusal(&folder, "Put it back");
}

static void test_an_empty_log_whose_snapshot_was_removed_is_refused(void **state)
{
    (void)state;
    struct folder folder;
    make(&folder, 6, 0, 0);
    set_store(&folder, 5, 2);
    expect_refusal(&folder, "Put it back");
}

static void test_a_store_beyond_the_end_of_the_log_is_refused(void **state)
{
    (void)state;
    struct folder folder;
    make(&folder, 1, 4, 2);
    set_store(&folder, 5, 2);
    expect_refusal(&folder, "part of the log is missing");
}

static void test_a_store_that_went_on_where_the_log_did_not_is_refused(void **state)
{
    (void)state;
    struct folder folder;
    make(&folder, 1, 8, 2);
    set_snapshot(&folder, 5, 3);
    set_store(&folder, 6, 2);
    expect_refusal(&folder, "mixed");
}

static void test_a_store_of_another_term_is_to_be_removed(void **state)
{
    (void)state;
    struct folder folder;
    make(&folder, 1, 8, 2);
    set_store(&folder, 6, 1);
    expect_refusal(&folder, "remove both files in DIR/store");
    set_snapshot(&folder, 6, 2);
    expect_refusal(&folder, "remove both files in DIR/store");
}

static void make_random(struct prng *prng, struct folder *folder)
{
    make(folder, 1 + prng_below(prng, 4), (uint32_t)prng_below(prng, ENTRIES_MAX + 1), 1);
    uint64_t term = 1;
    for (uint64_t i = 0; i < folder->facts.log.entries_count; i++) {
        term += term < TERM && prng_below(prng, 3) == 0 ? 1 : 0;
        folder->entries[i].term = term;
    }
    uint64_t snapshot = prng_below(prng, 10);
    set_snapshot(folder, snapshot, snapshot == 0 ? 0 : 1 + prng_below(prng, TERM));
    uint64_t stored = snapshot + (prng_below(prng, 2) == 0 ? 0 : prng_below(prng, 6));
    uint64_t at = stored - folder->facts.log.first_index;
    bool in_log = stored >= folder->facts.log.first_index && at < folder->facts.log.entries_count;
    uint64_t stored_term =
        stored == snapshot || !in_log ? folder->facts.snapshot_term : folder->entries[at].term;
    set_store(folder, stored, prng_below(prng, 5) == 0 ? 1 + prng_below(prng, TERM) : stored_term);
    if (stored == 0) {
        folder->facts.stored_term = 0;
    }
}

/* Nothing that the core would end the process for; and no entry is given up that is not beside the
 * snapshot. */
static void test_whatever_is_let_through_starts_a_core(void **state)
{
    (void)state;
    const char *given = getenv("SEED");
    uint64_t seed = given != NULL ? strtoull(given, NULL, 10) : 1;
    printf("SEED=%llu\n", (unsigned long long)seed);
    struct prng prng;
    prng_init(&prng, seed);
    uint32_t started = 0;
    uint32_t restarted = 0;
    for (uint32_t i = 0; i < RANDOM_FOLDERS; i++) {
        struct folder folder;
        make_random(&prng, &folder);
        const struct recovery_facts *facts = &folder.facts;
        if (recovery_check(facts, &folder.reason) != ERR_OK) {
            assert_true(folder.reason.text[0] != '\0');
            continue;
        }
        struct raft_status status;
        uint64_t restart = 0;
        start(&folder, &status, &restart);
        started++;
        restarted += restart != 0;
        assert_true(status.last_index >= facts->stored_index);
        if (restart != 0) {
            assert_int_equal(restart, facts->snapshot_index);
        } else {
            uint64_t end = facts->log.first_index + facts->log.entries_count - 1;
            assert_int_equal(status.last_index, end);
        }
    }
    assert_true(started > RANDOM_FOLDERS / 20);
    assert_true(restarted > RANDOM_FOLDERS / 100);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_an_install_cut_short_over_a_longer_log_of_another_term_starts),
        cmocka_unit_test(test_an_install_cut_short_over_a_shorter_log_starts),
        cmocka_unit_test(test_an_install_cut_short_before_an_empty_log_starts),
        cmocka_unit_test(test_a_log_that_goes_on_behind_its_snapshot_starts),
        cmocka_unit_test(test_a_log_whose_snapshot_was_removed_is_refused),
        cmocka_unit_test(test_an_empty_log_whose_snapshot_was_removed_is_refused),
        cmocka_unit_test(test_a_store_beyond_the_end_of_the_log_is_refused),
        cmocka_unit_test(test_a_store_that_went_on_where_the_log_did_not_is_refused),
        cmocka_unit_test(test_a_store_of_another_term_is_to_be_removed),
        cmocka_unit_test(test_whatever_is_let_through_starts_a_core),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
