/* SPDX-License-Identifier: Apache-2.0 */
/* An order that was refused comes again after growing pauses only, another one of its kind sooner,
 * any other at once. Method: made-up orders on a made-up clock. */
#include "decide/refused_order.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdio.h>
#include <string.h>

#include <cmocka.h>

enum {
    HOUR_MS = 3600 * 1000,
};

static struct command begin_of(uint64_t epoch, uint32_t candidate)
{
    struct command command;
    memset(&command, 0, sizeof(command));
    command.kind = COMMAND_FAILOVER_BEGIN;
    command.failover.epoch.value = epoch;
    command.failover.candidate.value = candidate;
    return command;
}

/* How often it would be proposed, and refused, in an hour. */
static uint32_t proposals(bool another_each_time)
{
    struct refused_order refused = {0};
    uint32_t count = 0;
    for (uint64_t now_ms = 0; now_ms < HOUR_MS; now_ms += 50) {
        struct command command = begin_of(7, another_each_time ? count : 1);
        /* The words about it say each time for how long it has been so. */
        (void)snprintf(command.failover.evidence, TEXT_SIZE, "silent for %u ms", (unsigned)now_ms);
        if (!refused_order_holds(&refused, &command, now_ms)) {
            refused_order_note(&refused, command.kind, order_print(&command), now_ms);
            count++;
        }
    }
    return count;
}

static void test_the_same_order_is_not_proposed_over_and_over(void **state)
{
    (void)state;
    assert_in_range(proposals(false), 8, HOUR_MS / REFUSED_SAME_MS_MAX + 10);
}

static void test_an_order_that_says_something_else_is_tried_within_two_seconds(void **state)
{
    (void)state;
    assert_in_range(proposals(true), HOUR_MS / (REFUSED_KIND_MS_MAX + 50), HOUR_MS / 1900);
}

static void test_nothing_is_held_after_the_record_changed_or_of_another_kind(void **state)
{
    (void)state;
    struct refused_order refused = {0};
    struct command begin = begin_of(7, 1);
    struct command excluded = begin;
    excluded.kind = COMMAND_FAILOVER_EXCLUDED;
    refused_order_note(&refused, begin.kind, order_print(&begin), 1000);
    assert_true(refused_order_holds(&refused, &begin, 1001));
    assert_false(refused_order_holds(&refused, &excluded, 1001));
    refused_order_forget(&refused);
    assert_false(refused_order_holds(&refused, &begin, 1001));
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_the_same_order_is_not_proposed_over_and_over),
        cmocka_unit_test(test_an_order_that_says_something_else_is_tried_within_two_seconds),
        cmocka_unit_test(test_nothing_is_held_after_the_record_changed_or_of_another_kind),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
