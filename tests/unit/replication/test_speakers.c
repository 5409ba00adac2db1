/* SPDX-License-Identifier: Apache-2.0 */
/* Whom a sidecar listens to. Goal: nobody enters the record on one host's word, what is unheard of
 * waits for a second one, and neither replaced members nor a forced recovery leave a sidecar alone.
 * Method: rounds of answers by hand. */
#include "replication/speakers.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdio.h>
#include <string.h>

#include <cmocka.h>

enum {
    MANY = SPEAKERS_EPOCH_LEAP + 1
};

static struct speaker speaker(uint32_t number)
{
    struct speaker made = {.id = {.hi = 1, .lo = number}};
    (void)snprintf(made.name, sizeof(made.name), "n%u", number);
    (void)snprintf(made.api_address, sizeof(made.api_address), "10.0.0.%u:7400", number);
    return made;
}

static struct speakers record(uint32_t count)
{
    struct speakers made = {.count = count, .mode = SHARD_SYNC};
    for (uint32_t i = 0; i < count; i++) {
        made.items[i] = speaker(i + 1);
    }
    return made;
}

/* Member `from` answers, and names those whose digits are in `named`. */
static struct speakers_answer *
answer(struct speakers_round *round, uint32_t from, const char *named)
{
    struct speakers_answer *made = &round->answers[round->count];
    uint32_t before = round->count;
    struct speakers_answer fresh = {.mode = SHARD_SYNC, .epoch = {1}};
    (void)snprintf(fresh.from, sizeof(fresh.from), "n%u", from);
    for (const char *digit = named; *digit != '\0'; digit++) {
        fresh.members[fresh.members_count++] = speaker((uint32_t)(*digit - '0'));
    }
    speakers_round_add(round, &fresh);
    assert_true(round->count == before + 1);
    return made;
}

static bool knows(const struct speakers *speakers, uint32_t number)
{
    struct speaker one = speaker(number);
    return speakers_know(speakers, one.id, one.name);
}

static void test_one_is_known_by_name_and_id_together(void **state)
{
    (void)state;
    const struct speakers speakers = record(3);

    assert_true(speakers_know(&speakers, (struct member_id){1, 2}, "n2"));
    assert_false(speakers_know(&speakers, (struct member_id){1, 2}, "n3"));
    assert_false(speakers_know(&speakers, (struct member_id){1, 9}, "n2"));
}

static void test_the_first_ones_are_named_by_two_addresses(void **state)
{
    (void)state;
    struct speakers speakers = {0};
    struct speakers_round round = {.asked = 3};
    answer(&round, 9, "9");
    answer(&round, 1, "123");
    assert_false(speakers_learn(&speakers, &round));

    answer(&round, 2, "123");
    assert_true(speakers_learn(&speakers, &round));

    assert_int_equal(speakers.count, 3);
    assert_false(knows(&speakers, 9));
}

static void test_one_address_alone_is_believed_the_first_time(void **state)
{
    (void)state;
    struct speakers speakers = {0};
    struct speakers_round round = {.asked = 1};
    answer(&round, 1, "123");

    assert_true(speakers_learn(&speakers, &round));

    assert_int_equal(speakers.count, 3);
}

static void test_one_certificate_at_two_addresses_answers_once(void **state)
{
    (void)state;
    struct speakers speakers = {0};
    struct speakers_round round = {.asked = 3};
    const struct speakers_answer first = *answer(&round, 9, "9");
    speakers_round_add(&round, &first);

    assert_false(speakers_learn(&speakers, &round));
    assert_int_equal(round.count, 1);
}

static void test_who_does_not_name_itself_names_nobody_the_first_time(void **state)
{
    (void)state;
    struct speakers speakers = {0};
    struct speakers_round round = {.asked = 3};
    answer(&round, 8, "12");
    answer(&round, 9, "12");

    assert_false(speakers_learn(&speakers, &round));
}

static void test_a_stranger_is_not_known_by_its_own_word(void **state)
{
    (void)state;
    struct speakers speakers = record(3);
    struct speakers_round round = {.asked = 4};
    answer(&round, 9, "1239");
    answer(&round, 1, "123");
    answer(&round, 2, "123");

    assert_false(speakers_learn(&speakers, &round));
    assert_false(knows(&speakers, 9));
}

static void test_a_new_member_enters_when_two_name_it(void **state)
{
    (void)state;
    struct speakers speakers = record(3);
    struct speakers_round round = {.asked = 3};
    answer(&round, 1, "1234");
    assert_false(speakers_learn(&speakers, &round));

    answer(&round, 2, "1234");
    assert_true(speakers_learn(&speakers, &round));

    assert_true(knows(&speakers, 4));
}

static void test_a_new_member_enters_when_one_names_it_and_it_answers_itself(void **state)
{
    (void)state;
    struct speakers speakers = record(3);
    struct speakers_round round = {.asked = 3};
    struct speaker candidates[SPEAKERS_MAX];
    answer(&round, 1, "14");
    assert_int_equal(speakers_candidates(&speakers, &round, candidates), 1);
    assert_string_equal(candidates[0].api_address, "10.0.0.4:7400");

    answer(&round, 4, "14");
    assert_int_equal(speakers_candidates(&speakers, &round, candidates), 0);
    assert_true(speakers_learn(&speakers, &round));

    assert_true(knows(&speakers, 4));
    assert_true(knows(&speakers, 3)); /* too few have answered to forget anybody */
}

static void test_a_member_that_only_names_itself_goes_once_half_of_the_record_says_so(void **state)
{
    (void)state;
    struct speakers speakers = record(3);
    struct speakers_round round = {.asked = 3};
    answer(&round, 3, "123");
    answer(&round, 1, "12");
    assert_false(speakers_learn(&speakers, &round)); /* one may lag */

    answer(&round, 2, "12");
    assert_true(speakers_learn(&speakers, &round));

    assert_false(knows(&speakers, 3));
    assert_int_equal(speakers.mode, SHARD_SYNC);
}

static void test_members_without_a_state_say_nothing(void **state)
{
    (void)state;
    struct speakers speakers = record(3);
    struct speakers_round round = {.asked = 3};
    const struct speakers_answer one = {.from = "n1"};
    const struct speakers_answer two = {.from = "n2"};
    speakers_round_add(&round, &one);
    speakers_round_add(&round, &two);

    assert_int_equal(round.count, 0);
    assert_false(speakers_learn(&speakers, &round));
    assert_int_equal(speakers.count, 3);
}

static void test_an_ordinary_goal_needs_nobody_else(void **state)
{
    (void)state;
    const struct speakers speakers = record(3);
    const struct goal goal = {.epoch = {8}, .mode = SHARD_SYNC};
    const struct goal last = {.epoch = {7 + SPEAKERS_EPOCH_LEAP}, .mode = SHARD_SYNC};

    assert_false(speakers_must_confirm(&speakers, (struct epoch){7}, 0, &goal));
    assert_false(speakers_must_confirm(&speakers, (struct epoch){7}, 0, &last));
}

static void test_a_leap_and_a_weaker_mode_need_another_ones_word(void **state)
{
    (void)state;
    const struct speakers speakers = record(3);
    const struct goal leap = {.epoch = {7 + MANY}, .mode = SHARD_SYNC};
    const struct goal weaker = {.epoch = {8}, .mode = SHARD_ASYNC};
    struct speakers_round round = {.asked = 3};
    assert_true(speakers_must_confirm(&speakers, (struct epoch){7}, 0, &leap));
    assert_true(speakers_must_confirm(&speakers, (struct epoch){7}, 0, &weaker));

    answer(&round, 1, "123")->epoch.value = 7 + MANY; /* the speaker itself */
    answer(&round, 9, "123")->epoch.value = 7 + MANY; /* a stranger */
    assert_false(speakers_confirm(&speakers, &round, "n1", &leap));

    answer(&round, 2, "123")->epoch.value = 7 + MANY;
    assert_true(speakers_confirm(&speakers, &round, "n1", &leap));
    assert_false(speakers_confirm(&speakers, &round, "n1", &weaker));
}

static void test_ballots_of_a_recovery_that_is_followed_are_no_leap(void **state)
{
    (void)state;
    const struct speakers speakers = record(3);
    const struct goal goal = {.epoch = epoch_next((struct epoch){7}, 1), .mode = SHARD_SYNC};

    assert_true(speakers_must_confirm(&speakers, (struct epoch){7}, 0, &goal));
    assert_false(speakers_must_confirm(&speakers, (struct epoch){7}, 1, &goal));
}

static void test_a_single_member_is_taken_at_its_word(void **state)
{
    (void)state;
    const struct speakers speakers = record(1);
    const struct goal goal = {.epoch = {1000000}, .mode = SHARD_ASYNC};

    assert_false(speakers_must_confirm(&speakers, (struct epoch){7}, 0, &goal));
}

static void test_a_recovery_is_followed_unless_most_know_nothing_of_it(void **state)
{
    (void)state;
    const struct speakers speakers = record(3);
    struct speakers_round round = {.asked = 3};
    assert_true(speakers_follow(&speakers, &round, "n1", 1)); /* nobody else is left */

    answer(&round, 2, "123");
    assert_true(speakers_follow(&speakers, &round, "n1", 1)); /* one that was left behind */

    answer(&round, 3, "123");
    assert_false(speakers_follow(&speakers, &round, "n1", 1));

    round.answers[1].cluster_epoch = 1;
    assert_true(speakers_follow(&speakers, &round, "n1", 1));
}

static void test_strangers_say_nothing_about_a_recovery(void **state)
{
    (void)state;
    const struct speakers speakers = record(3);
    struct speakers_round round = {.asked = 3};
    answer(&round, 2, "123");
    answer(&round, 3, "123");

    answer(&round, 9, "9")->cluster_epoch = 1;

    assert_false(speakers_follow(&speakers, &round, "n1", 1));
}

static void test_after_a_recovery_the_survivor_alone_is_left(void **state)
{
    (void)state;
    struct speakers speakers = record(3);

    speakers_keep_only(&speakers, "n2");

    assert_int_equal(speakers.count, 1);
    assert_true(knows(&speakers, 2));
    struct speakers_round round = {.asked = 2};
    answer(&round, 2, "24");
    answer(&round, 4, "24");
    assert_true(speakers_learn(&speakers, &round));
    assert_true(knows(&speakers, 4));
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_one_is_known_by_name_and_id_together),
        cmocka_unit_test(test_the_first_ones_are_named_by_two_addresses),
        cmocka_unit_test(test_one_address_alone_is_believed_the_first_time),
        cmocka_unit_test(test_one_certificate_at_two_addresses_answers_once),
        cmocka_unit_test(test_who_does_not_name_itself_names_nobody_the_first_time),
        cmocka_unit_test(test_a_stranger_is_not_known_by_its_own_word),
        cmocka_unit_test(test_a_new_member_enters_when_two_name_it),
        cmocka_unit_test(test_a_new_member_enters_when_one_names_it_and_it_answers_itself),
        cmocka_unit_test(test_a_member_that_only_names_itself_goes_once_half_of_the_record_says_so),
        cmocka_unit_test(test_members_without_a_state_say_nothing),
        cmocka_unit_test(test_an_ordinary_goal_needs_nobody_else),
        cmocka_unit_test(test_a_leap_and_a_weaker_mode_need_another_ones_word),
        cmocka_unit_test(test_ballots_of_a_recovery_that_is_followed_are_no_leap),
        cmocka_unit_test(test_a_single_member_is_taken_at_its_word),
        cmocka_unit_test(test_a_recovery_is_followed_unless_most_know_nothing_of_it),
        cmocka_unit_test(test_strangers_say_nothing_about_a_recovery),
        cmocka_unit_test(test_after_a_recovery_the_survivor_alone_is_left),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
