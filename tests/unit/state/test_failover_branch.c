/* SPDX-License-Identifier: Apache-2.0 */
/* What a decision leaves behind and what it does not: whatever anybody may still have acknowledged
 * is asked for until a folder holds it. */
#include "state_fixture.h"

static const struct sync_member FOLDER_B = {{B}, {12}};

static struct shard shard_of(struct fixture *f)
{
    return fixture_view(f).shard;
}

/* The failover after the one of the fixture, with a mark at `held`; true if it still counts. */
static bool mark_counts(struct fixture *f, struct position held)
{
    struct command_failover *body = fixture_begin(f);
    body->epoch.value = shard_of(f).epoch.value + 1;
    body->cause = CAUSE_STUCK;
    body->acked_floor = (struct position){0};
    body->marks.acked = held;
    marks_raise(&body->marks, FOLDER_B, held);
    fixture_passes(f);
    struct shard_view view = fixture_view(f);
    return position_compare(failover_own_floor(&view.failover), held) == 0;
}

static void test_a_succession_leaves_behind_what_no_final_position_showed(void **state)
{
    (void)state;
    for (int mode = SHARD_SYNC; mode <= SHARD_ASYNC; mode++) {
        struct fixture f;
        fixture_steady(&f, (enum shard_mode)mode);
        fixture_advance(&f, COMMAND_FAILOVER_DECIDED);
        struct shard shard = shard_of(&f);
        assert_int_equal(shard.branch_timeline, shard.timeline_reserved);
        struct position above = {shard.floor.timeline, shard.floor.lsn + 1};
        assert_true(shard_left_behind(&shard, above));
        assert_false(mark_counts(&f, above));
        fixture_free(&f);
    }
}

/* It may have been promoted, unknown to the record, and what it wrote then is no branch. */
static void test_what_the_chosen_one_wrote_on_its_own_timeline_counts(void **state)
{
    (void)state;

    static const enum command_kind LAST[] = {COMMAND_FAILOVER_DECIDED, COMMAND_FAILOVER_PROMOTED};

    for (size_t i = 0; i < sizeof(LAST) / sizeof(LAST[0]); i++) {
        struct fixture f;
        fixture_steady(&f, SHARD_SYNC);
        fixture_advance(&f, LAST[i]);
        assert_true(mark_counts(&f, (struct position){shard_of(&f).timeline_reserved, 900}));
        fixture_free(&f);
    }
}

static void test_a_restart_in_place_leaves_nothing_behind(void **state)
{
    (void)state;
    struct fixture f;
    fixture_steady(&f, SHARD_SYNC);
    fixture_advance(&f, COMMAND_FAILOVER_OPENED); /* B, on timeline 3 */
    uint32_t branch = shard_of(&f).branch_timeline;
    struct command_failover *body = fixture_begin(&f);
    body->epoch.value = 3;
    body->cause = CAUSE_PROCESS;
    body->in_place = true;
    body->acked_floor = (struct position){branch, 500};
    fixture_passes(&f);
    fixture_excluded(&f)->epoch.value = 3;
    fixture_passes(&f);
    fixture_completed(&f)->epoch.value = 3;
    fixture_passes(&f);
    fixture_decided(&f)->epoch.value = 3;
    fixture_passes(&f);
    assert_int_equal(shard_of(&f).branch_timeline, branch);
    assert_true(shard_of(&f).timeline_reserved > branch);
    assert_true(mark_counts(&f, (struct position){branch, 500}));
    fixture_free(&f);
}

/* Who was in office on a timeline that the survivor never heard of was asked by nobody. */
static void test_a_decision_after_a_recovery_leaves_no_forgotten_timeline_behind(void **state)
{
    (void)state;
    struct fixture f;
    fixture_steady(&f, SHARD_SYNC);
    memset(&f.command, 0, sizeof(f.command));
    f.command.kind = COMMAND_CLUSTER_RECOVERED;
    f.command.cluster_recovered.survivor = (struct member_id){1, 1};
    f.command.cluster_recovered.cluster_epoch = 1;
    fixture_passes(&f);
    uint32_t known = shard_of(&f).timeline_reserved;
    uint64_t epoch = epoch_next(shard_of(&f).epoch, 1).value;
    fixture_begin(&f)->epoch.value = epoch;
    fixture_passes(&f);
    fixture_excluded(&f)->epoch.value = epoch;
    fixture_passes(&f);
    fixture_completed(&f)->epoch.value = epoch;
    fixture_passes(&f);
    fixture_decided(&f)->epoch.value = epoch;
    fixture_passes(&f);
    struct shard shard = shard_of(&f);
    struct position old = {known, shard.floor.lsn + 1};
    assert_true(shard.timeline_reserved > known + 1);
    assert_true(shard_left_behind(&shard, old));
    assert_true(mark_counts(&f, (struct position){known + 3, 50}));
    fixture_free(&f);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_a_succession_leaves_behind_what_no_final_position_showed),
        cmocka_unit_test(test_what_the_chosen_one_wrote_on_its_own_timeline_counts),
        cmocka_unit_test(test_a_restart_in_place_leaves_nothing_behind),
        cmocka_unit_test(test_a_decision_after_a_recovery_leaves_no_forgotten_timeline_behind),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
