/* SPDX-License-Identifier: Apache-2.0 */
/* Whose word a member takes. Goal: members always, others only while a majority of those known
 * names them or a person vouched, and nobody who was removed. Method: small sets by hand, and every
 * way in which four others can answer. */
#include "peers/voices.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdio.h>
#include <string.h>

#include <cmocka.h>

enum {
    D = 100,
    OTHERS_MAX = 4,
};

static struct member_id id(uint64_t lo)
{
    return (struct member_id){.hi = 1, .lo = lo};
}

static struct voices_identity identity(uint64_t lo, const char *name)
{
    struct voices_identity made = {.id = id(lo)};
    (void)snprintf(made.name, sizeof(made.name), "%s", name);
    return made;
}

/* The others are n1 …, and d has spoken; whether it was removed was looked up. */
static struct voices others(uint32_t count)
{
    struct voices voices = {0};
    for (uint32_t i = 1; i <= count; i++) {
        char name[NAME_SIZE];
        (void)snprintf(name, sizeof(name), "n%u", i);
        voices_know(&voices, id(i), name, true);
    }
    voices_meet(&voices, id(D), "d", "10.0.0.9:7401", 1)->looked_up = true;
    return voices;
}

static void name_it(struct voices *voices, uint64_t from, bool names_it)
{
    const struct voices_identity about = identity(D, "d");
    voices_answered(voices, id(from), &about, names_it);
}

static void test_a_member_is_believed_under_its_own_name_alone(void **state)
{
    (void)state;
    struct voices voices = others(2);

    assert_true(voices_believes(&voices, id(1), "n1"));
    assert_false(voices_believes(&voices, id(1), "n2"));
    assert_false(voices_believes(&voices, id(7), "n1"));
}

static void test_a_stranger_is_believed_when_more_than_half_of_the_others_name_it(void **state)
{
    (void)state;
    for (uint32_t count = 0; count <= OTHERS_MAX; count++) {
        for (uint32_t answers = 0; answers < 1u << count; answers++) {
            struct voices voices = others(count);
            for (uint32_t i = 0; i < count; i++) {
                name_it(&voices, i + 1, (answers >> i & 1) != 0);
            }
            uint32_t named = (uint32_t)__builtin_popcount(answers);
            assert_int_equal(voices_believes(&voices, id(D), "d"), 2 * named > count);
        }
    }
}

static void test_nobody_is_believed_by_one_who_knows_nobody(void **state)
{
    (void)state;
    struct voices voices = others(0);

    name_it(&voices, D, true);
    name_it(&voices, 5, true);

    assert_false(voices_believes(&voices, id(D), "d"));
}

static void test_one_answer_counts_once_and_the_last_one_holds(void **state)
{
    (void)state;
    struct voices voices = others(3);
    name_it(&voices, 1, true);
    name_it(&voices, 1, true);
    assert_false(voices_believes(&voices, id(D), "d"));

    name_it(&voices, 2, true);
    assert_true(voices_believes(&voices, id(D), "d"));

    name_it(&voices, 1, false);
    assert_false(voices_believes(&voices, id(D), "d"));
}

static void test_the_word_of_learners_and_of_strangers_does_not_count(void **state)
{
    (void)state;
    struct voices voices = others(2);
    voices_know(&voices, id(8), "learner", false);
    voices_meet(&voices, id(50), "friend", "", 1)->looked_up = true;

    name_it(&voices, 8, true);
    name_it(&voices, 50, true);
    name_it(&voices, D, true);
    name_it(&voices, 1, true);

    assert_false(voices_believes(&voices, id(D), "d"));
    name_it(&voices, 2, true);
    assert_true(voices_believes(&voices, id(D), "d"));
}

static void test_answers_of_who_is_no_member_any_more_are_forgotten(void **state)
{
    (void)state;
    struct voices voices = others(3);
    name_it(&voices, 1, true);
    name_it(&voices, 2, true);
    assert_true(voices_believes(&voices, id(D), "d"));

    voices_forget_known(&voices);
    voices_know(&voices, id(2), "n2", true);
    voices_know(&voices, id(3), "n3", true);
    voices_settle(&voices);

    assert_false(voices_believes(&voices, id(D), "d"));
}

static void test_an_answer_about_another_name_or_id_does_not_count(void **state)
{
    (void)state;
    struct voices voices = others(1);
    const struct voices_identity other_name = identity(D, "e");
    const struct voices_identity other_id = identity(D + 1, "d");

    voices_answered(&voices, id(1), &other_name, true);
    voices_answered(&voices, id(1), &other_id, true);

    assert_false(voices_believes(&voices, id(D), "d"));
    assert_false(voices_believes(&voices, id(D), "e"));
    assert_false(voices_believes(&voices, id(D + 1), "d"));
}

static void test_a_removed_member_is_not_believed_whoever_names_it(void **state)
{
    (void)state;
    struct voices voices = others(2);
    const struct voices_identity vouched = identity(D, "d");
    voices_set_vouched(&voices, &vouched, 1);
    name_it(&voices, 1, true);
    name_it(&voices, 2, true);
    assert_true(voices_believes(&voices, id(D), "d"));

    voices_find_stranger(&voices, id(D))->gone = true;

    assert_false(voices_believes(&voices, id(D), "d"));
    assert_int_equal(voices_standing(&voices, id(D), "d"), VOICES_GONE);
}

static void test_nobody_is_believed_before_it_is_known_whether_he_was_removed(void **state)
{
    (void)state;
    struct voices voices = others(0);
    const struct voices_identity vouched = identity(D, "d");
    voices_set_vouched(&voices, &vouched, 1);
    assert_true(voices_believes(&voices, id(D), "d"));

    voices_find_stranger(&voices, id(D))->looked_up = false;

    assert_false(voices_believes(&voices, id(D), "d"));
}

static void test_a_person_vouches_for_a_name_and_an_id_together(void **state)
{
    (void)state;
    struct voices voices = others(2);
    const struct voices_identity vouched = identity(D, "d");
    voices_set_vouched(&voices, &vouched, 1);
    assert_int_equal(voices_standing(&voices, id(D), "d"), VOICES_VOUCHED);

    voices_meet(&voices, id(D + 1), "d", "", 2)->looked_up = true;

    assert_false(voices_believes(&voices, id(D + 1), "d"));
    assert_false(voices_believes(&voices, id(D), "e"));
}

static void test_one_certificate_takes_one_place_whatever_ids_it_says(void **state)
{
    (void)state;
    struct voices voices = others(2);

    for (uint64_t i = 0; i < 1000; i++) {
        struct voices_stranger *stranger = voices_meet(&voices, id(1000 + i), "m", "", 2);
        assert_int_equal(voices_should_ask(stranger, 2), i == 0);
    }
    assert_int_equal(voices.strangers_count, 2);
    assert_non_null(voices_find_stranger(&voices, id(D)));
    assert_null(voices_find_stranger(&voices, id(1000)));
}

static void test_the_longest_silent_gives_way(void **state)
{
    (void)state;
    struct voices voices = others(2);

    for (uint32_t i = 0; i < VOICES_STRANGERS_MAX; i++) {
        char name[NAME_SIZE];
        (void)snprintf(name, sizeof(name), "m%u", i);
        voices_meet(&voices, id(1000 + i), name, "", 2 + i);
    }

    assert_int_equal(voices.strangers_count, VOICES_STRANGERS_MAX);
    assert_null(voices_find_stranger(&voices, id(D)));
    assert_non_null(voices_find_stranger(&voices, id(1000)));
}

static void test_the_others_are_asked_now_and_then(void **state)
{
    (void)state;
    struct voices voices = others(2);
    struct voices_stranger *stranger = voices_find_stranger(&voices, id(D));

    assert_true(voices_should_ask(stranger, 10));
    assert_false(voices_should_ask(stranger, 10 + VOICES_ASK_MS - 1));
    assert_true(voices_should_ask(stranger, 10 + VOICES_ASK_MS));
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_a_member_is_believed_under_its_own_name_alone),
        cmocka_unit_test(test_a_stranger_is_believed_when_more_than_half_of_the_others_name_it),
        cmocka_unit_test(test_nobody_is_believed_by_one_who_knows_nobody),
        cmocka_unit_test(test_one_answer_counts_once_and_the_last_one_holds),
        cmocka_unit_test(test_the_word_of_learners_and_of_strangers_does_not_count),
        cmocka_unit_test(test_answers_of_who_is_no_member_any_more_are_forgotten),
        cmocka_unit_test(test_an_answer_about_another_name_or_id_does_not_count),
        cmocka_unit_test(test_a_removed_member_is_not_believed_whoever_names_it),
        cmocka_unit_test(test_nobody_is_believed_before_it_is_known_whether_he_was_removed),
        cmocka_unit_test(test_a_person_vouches_for_a_name_and_an_id_together),
        cmocka_unit_test(test_one_certificate_takes_one_place_whatever_ids_it_says),
        cmocka_unit_test(test_the_longest_silent_gives_way),
        cmocka_unit_test(test_the_others_are_asked_now_and_then),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
