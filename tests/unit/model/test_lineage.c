/* SPDX-License-Identifier: Apache-2.0 */
/* Whether a folder holds its shard's history alone. Goal: whatever a person did to the folder of a
 * standby leaves a doubt, and whatever only its sidecar's processes did leaves none. Method:
 * evidence by hand, and random lives of a folder, in which each run leaves the traces that
 * PostgreSQL leaves. */
#include "model/lineage.h"

#include "base/prng.h"
#include "tests/support/support_seed.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

/* A standby that was killed while it followed: 3:1000 was the last that was seen of it. */
static struct lineage_evidence of_a_standby(void)
{
    return (struct lineage_evidence){
        .same_folder = true,
        .anchor = {3, 1000},
        .newest_timeline = 3,
        .led_timeline = 3,
        .wal_found = true,
        .checkpoint_lsn = 800,
    };
}

static void test_a_standby_that_only_followed_is_proven(void **state)
{
    struct lineage_evidence evidence = of_a_standby();

    (void)state;
    assert_null(lineage_doubt(&evidence));
    evidence.checkpoint_lsn = 1400;
    evidence.checkpoint_found = true;
    assert_null(lineage_doubt(&evidence));
}

static void test_a_standby_that_was_started_writable_is_doubted(void **state)
{
    struct lineage_evidence evidence = of_a_standby();

    (void)state;
    evidence.writable = true;
    assert_non_null(lineage_doubt(&evidence));
    evidence = of_a_standby(); /* and then as a standby again */
    evidence.recovery_ended = true;
    assert_non_null(lineage_doubt(&evidence));
    evidence = of_a_standby(); /* … and what it wrote was overwritten by what it received */
    evidence.checkpoint_lsn = 1100;
    assert_non_null(lineage_doubt(&evidence));
}

static void test_a_timeline_whose_number_is_known_by_now_is_no_proof(void **state)
{
    struct lineage_evidence evidence = of_a_standby();

    (void)state;
    evidence.newest_timeline = 4;
    assert_non_null(lineage_doubt(&evidence));
}

static void test_a_timeline_to_which_the_record_led_is_no_doubt(void **state)
{
    struct lineage_evidence evidence = of_a_standby();

    (void)state;
    evidence.newest_timeline = 4;
    evidence.led_timeline = 4;
    assert_null(lineage_doubt(&evidence));
    evidence.newest_timeline = 5;
    assert_non_null(lineage_doubt(&evidence));
}

static const struct fork TWO_FORKS[] = {
    {.epoch = 2, .timeline = 4, .parent_timeline = 3, .fork_lsn = 1200},
    {.epoch = 6, .timeline = 7, .parent_timeline = 4, .fork_lsn = 1500},
};

static void test_the_record_leads_from_one_timeline_to_the_next(void **state)
{
    const struct epoch newest = {6};

    (void)state;
    assert_ptr_equal(lineage_next((struct position){3, 1000}, TWO_FORKS, 2, newest), &TWO_FORKS[0]);
    assert_ptr_equal(lineage_next((struct position){3, 1200}, TWO_FORKS, 2, newest), &TWO_FORKS[0]);
    assert_ptr_equal(lineage_next(lineage_fork_place(&TWO_FORKS[0]), TWO_FORKS, 2, newest),
                     &TWO_FORKS[1]);
    assert_null(lineage_next(lineage_fork_place(&TWO_FORKS[1]), TWO_FORKS, 2, newest));
    assert_null(lineage_next((struct position){3, 1000}, TWO_FORKS, 0, newest));
}

static void test_whoever_stood_beyond_the_fork_was_not_led_there(void **state)
{
    (void)state;
    assert_null(lineage_next((struct position){3, 1201}, TWO_FORKS, 2, (struct epoch){6}));
}

/* What was made before that may have any number, the one reserved later, too. */
static void test_nobody_is_led_by_an_epoch_that_he_had_not_promised(void **state)
{
    (void)state;
    assert_null(lineage_next((struct position){3, 1000}, TWO_FORKS, 2, (struct epoch){1}));
    assert_null(lineage_next(lineage_fork_place(&TWO_FORKS[0]), TWO_FORKS, 2, (struct epoch){5}));
}

static void test_a_timeline_is_the_records_by_its_place_and_its_first_words(void **state)
{
    const struct lineage_step ours = {
        .record = TWO_FORKS[0], .parent_timeline = 3, .fork_lsn = 1200, .announced = true};
    struct lineage_step step = ours;

    (void)state;
    assert_true(lineage_step_is_ours(&step));
    step.announced = false; /* promoted by hand at the same place */
    assert_false(lineage_step_is_ours(&step));
    step = ours;
    step.fork_lsn = 1100; /* earlier, as it lagged */
    assert_false(lineage_step_is_ours(&step));
    step = ours;
    step.parent_timeline = 0; /* it has no such file */
    assert_false(lineage_step_is_ours(&step));
}

static void test_another_folder_or_one_without_an_anchor_is_doubted(void **state)
{
    struct lineage_evidence evidence = of_a_standby();

    (void)state;
    evidence.same_folder = false;
    assert_non_null(lineage_doubt(&evidence));
    evidence = of_a_standby();
    evidence.anchor.timeline = 0;
    assert_non_null(lineage_doubt(&evidence));
    evidence = of_a_standby();
    evidence.wal_found = false;
    assert_non_null(lineage_doubt(&evidence));
}

/* Somebody removed what it had received, and wrote as much and more in its place. */
static void test_wal_that_is_not_what_was_seen_is_doubted_in_a_primary_too(void **state)
{
    struct lineage_evidence evidence = of_a_standby();

    (void)state;
    evidence.other_wal = true;
    assert_non_null(lineage_doubt(&evidence));
    evidence.writable = true;
    evidence.office = true;
    assert_non_null(lineage_doubt(&evidence));
    evidence.other_wal = false;
    assert_null(lineage_doubt(&evidence));
}

static void test_a_copy_that_was_never_started_is_proven_by_its_label(void **state)
{
    struct lineage_evidence evidence = of_a_standby();

    (void)state;
    evidence.same_folder = false;
    evidence.copy = true;
    evidence.writable = true; /* as its primary was */
    assert_null(lineage_doubt(&evidence));
}

/* A start would wait for the end of a backup that never comes. */
static void test_a_label_of_somebody_elses_backup_is_doubted_in_a_primary_too(void **state)
{
    struct lineage_evidence evidence = of_a_standby();

    (void)state;
    evidence.label = true;
    assert_non_null(lineage_doubt(&evidence));
    evidence.writable = true;
    evidence.office = true;
    assert_non_null(lineage_doubt(&evidence));
}

/* What is written behind the end of a primary takes nothing away from what it acknowledged. */
static void test_a_primary_that_somebody_started_again_still_holds_everything(void **state)
{
    struct lineage_evidence evidence = of_a_standby();

    (void)state;
    evidence.office = true;
    evidence.writable = true;
    evidence.recovery_ended = true;
    assert_null(lineage_doubt(&evidence));
    evidence.newest_timeline = 4; /* promoted by hand */
    assert_non_null(lineage_doubt(&evidence));
}

static void test_a_place_below_the_fork_of_its_timeline_is_of_the_parent(void **state)
{
    static const struct fork FORKS[] = {
        {.epoch = 1, .timeline = 2, .parent_timeline = 1, .fork_lsn = 100},
        {.epoch = 4, .timeline = 5, .parent_timeline = 2, .fork_lsn = 500},
    };

    (void)state;
    assert_int_equal(lineage_place((struct position){5, 600}, FORKS, 2).timeline, 5);
    assert_int_equal(lineage_place((struct position){5, 500}, FORKS, 2).timeline, 5);
    assert_int_equal(lineage_place((struct position){5, 499}, FORKS, 2).timeline, 2);
    assert_int_equal(lineage_place((struct position){5, 99}, FORKS, 2).timeline, 1);
    assert_int_equal(lineage_place((struct position){7, 99}, FORKS, 2).timeline, 7);
}

/* A folder whose WAL is a row of records, each received or made there. */
struct life {
    struct lineage_evidence evidence;
    uint64_t end_lsn;
    bool foreign;
};

static void follows(struct life *life, struct prng *prng)
{
    life->end_lsn += prng_below(prng, 50);
    life->evidence.writable = false;
    if (prng_chance(prng, 200)) { /* a checkpoint of the primary was received and replayed */
        life->evidence.checkpoint_lsn = life->end_lsn;
        life->evidence.checkpoint_found = true;
    }
}

/* Its sidecar is there, too: what it was seen to hold is the anchor. */
static void is_watched(struct life *life)
{
    life->evidence.anchor.lsn = life->end_lsn;
    life->evidence.recovery_ended = false;
}

static void is_written(struct life *life, struct prng *prng)
{
    life->foreign = true;
    if (prng_chance(prng, 300)) {
        life->evidence.newest_timeline++;
    } else {
        life->evidence.recovery_ended = true;
    }
    life->evidence.checkpoint_lsn = ++life->end_lsn;
    life->evidence.checkpoint_found = true;
    life->end_lsn += 1 + prng_below(prng, 50);
    life->evidence.writable = true;
}

static void test_random_lives_are_proven_exactly_if_nobody_else_wrote(void **state)
{
    enum {
        LIVES = 100000,
        RUNS_MAX = 8
    };
    struct prng prng;

    (void)state;
    prng_init(&prng, support_seed());
    for (int i = 0; i < LIVES; i++) {
        struct life life = {.evidence = of_a_standby(), .end_lsn = 1000};
        uint64_t runs = prng_below(&prng, RUNS_MAX);
        for (uint64_t run = 0; run < runs; run++) {
            if (prng_chance(&prng, 150)) {
                is_written(&life, &prng);
            } else {
                follows(&life, &prng); /* by hand, or with its sidecar */
                if (!life.foreign) {
                    is_watched(&life);
                }
            }
        }
        assert_int_equal(lineage_doubt(&life.evidence) != NULL, life.foreign);
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_a_standby_that_only_followed_is_proven),
        cmocka_unit_test(test_a_standby_that_was_started_writable_is_doubted),
        cmocka_unit_test(test_a_timeline_whose_number_is_known_by_now_is_no_proof),
        cmocka_unit_test(test_a_timeline_to_which_the_record_led_is_no_doubt),
        cmocka_unit_test(test_the_record_leads_from_one_timeline_to_the_next),
        cmocka_unit_test(test_whoever_stood_beyond_the_fork_was_not_led_there),
        cmocka_unit_test(test_nobody_is_led_by_an_epoch_that_he_had_not_promised),
        cmocka_unit_test(test_a_timeline_is_the_records_by_its_place_and_its_first_words),
        cmocka_unit_test(test_another_folder_or_one_without_an_anchor_is_doubted),
        cmocka_unit_test(test_wal_that_is_not_what_was_seen_is_doubted_in_a_primary_too),
        cmocka_unit_test(test_a_copy_that_was_never_started_is_proven_by_its_label),
        cmocka_unit_test(test_a_label_of_somebody_elses_backup_is_doubted_in_a_primary_too),
        cmocka_unit_test(test_a_primary_that_somebody_started_again_still_holds_everything),
        cmocka_unit_test(test_a_place_below_the_fork_of_its_timeline_is_of_the_parent),
        cmocka_unit_test(test_random_lives_are_proven_exactly_if_nobody_else_wrote),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
