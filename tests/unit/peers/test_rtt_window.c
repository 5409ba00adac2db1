/* SPDX-License-Identifier: Apache-2.0 */
/* Goal: a busy moment makes nobody farther away, and a longer way is known in time. Method: samples
 * twice a second, as pings take them. */
#include "peers/rtt_window.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>

#include <cmocka.h>

enum {
    PING_MS = 500
};

static uint64_t
take(struct rtt_window *window, uint32_t sample_us, uint64_t from_ms, uint32_t count)
{
    for (uint32_t i = 0; i < count; i++) {
        rtt_window_add(window, sample_us, from_ms);
        from_ms += PING_MS;
    }
    return from_ms;
}

static void test_nothing_is_known_before_the_first(void **state)
{
    (void)state;
    struct rtt_window window = {0};
    assert_int_equal(rtt_window_least_us(&window), 0);
    rtt_window_add(&window, 0, 1);
    assert_int_equal(rtt_window_least_us(&window), 1);
}

static void test_busy_seconds_change_nothing(void **state)
{
    (void)state;
    struct rtt_window window = {0};
    uint64_t now_ms = take(&window, 900, 100000, 4);
    for (int round = 0; round < 20; round++) {
        now_ms = take(&window, 1500000, now_ms, 8); /* four seconds of load */
        assert_int_equal(rtt_window_least_us(&window), 900);
        now_ms = take(&window, 900, now_ms, 1);
        assert_int_equal(rtt_window_least_us(&window), 900);
    }
}

static void test_a_longer_way_is_known_after_two_halves_and_a_shorter_one_at_once(void **state)
{
    (void)state;
    struct rtt_window window = {0};
    uint64_t now_ms = take(&window, 900, 100000, 20);
    uint64_t changed_ms = now_ms;
    while (rtt_window_least_us(&window) == 900) {
        now_ms = take(&window, 200000, now_ms, 1);
        assert_true(now_ms - changed_ms <= 2 * RTT_HALF_WINDOW_MS + PING_MS);
    }
    assert_int_equal(rtt_window_least_us(&window), 200000);
    (void)take(&window, 20000, now_ms, 1);
    assert_int_equal(rtt_window_least_us(&window), 20000);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_nothing_is_known_before_the_first),
        cmocka_unit_test(test_busy_seconds_change_nothing),
        cmocka_unit_test(test_a_longer_way_is_known_after_two_halves_and_a_shorter_one_at_once),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
