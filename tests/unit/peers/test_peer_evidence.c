/* SPDX-License-Identifier: Apache-2.0 */
/* Goal: a peer's process is taken for dead on proof only, and again for alive only when the same
 * process answers. Method: the real rule, told what connections say. */
#include "peers/peer_evidence.h"

/* cmocka.h needs these before it. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>

#include <cmocka.h>

static void test_the_first_process_that_is_seen_proves_nothing(void **state)
{
    (void)state;
    struct peer_evidence evidence = {0};

    assert_int_equal(peer_evidence_process(&evidence, 7), PEER_EVIDENCE_SAYS_NOTHING);
    assert_int_equal(peer_evidence_open(&evidence), PEER_EVIDENCE_SAYS_NOTHING);
    assert_int_equal(peer_evidence_process(&evidence, 7), PEER_EVIDENCE_SAYS_NOTHING);
}

static void test_another_process_in_its_place_proves_the_death_of_the_old_one(void **state)
{
    (void)state;
    struct peer_evidence evidence = {0};
    (void)peer_evidence_process(&evidence, 7);

    assert_int_equal(peer_evidence_process(&evidence, 8), PEER_EVIDENCE_SAYS_DEAD);

    /* That it answers says nothing for the office of the one before. */
    assert_int_equal(peer_evidence_open(&evidence), PEER_EVIDENCE_SAYS_NOTHING);
    assert_int_equal(peer_evidence_let_go(&evidence), PEER_EVIDENCE_SAYS_NOTHING);
}

static void test_a_refused_dial_is_withdrawn_by_a_link_that_stands(void **state)
{
    (void)state;
    struct peer_evidence evidence = {0};
    (void)peer_evidence_process(&evidence, 7);

    assert_int_equal(peer_evidence_refused(&evidence), PEER_EVIDENCE_SAYS_DEAD);
    assert_int_equal(peer_evidence_process(&evidence, 7), PEER_EVIDENCE_SAYS_NOTHING);
    assert_int_equal(peer_evidence_open(&evidence), PEER_EVIDENCE_SAYS_ALIVE);
    assert_int_equal(peer_evidence_open(&evidence), PEER_EVIDENCE_SAYS_NOTHING);
}

static void test_who_is_no_peer_any_more_is_not_held_for_dead(void **state)
{
    (void)state;
    struct peer_evidence evidence = {0};
    (void)peer_evidence_refused(&evidence);

    assert_int_equal(peer_evidence_let_go(&evidence), PEER_EVIDENCE_SAYS_ALIVE);
    assert_int_equal(peer_evidence_let_go(&evidence), PEER_EVIDENCE_SAYS_NOTHING);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_the_first_process_that_is_seen_proves_nothing),
        cmocka_unit_test(test_another_process_in_its_place_proves_the_death_of_the_old_one),
        cmocka_unit_test(test_a_refused_dial_is_withdrawn_by_a_link_that_stands),
        cmocka_unit_test(test_who_is_no_peer_any_more_is_not_held_for_dead),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
