/* SPDX-License-Identifier: Apache-2.0 */
/* The end of a loop's turn: who gathers brings, stage by stage, before what was written leaves. */
#include "rpc_fixture.h"

#include "base/check.h"

#include <string.h>

enum {
    BROUGHT_MAX = 64
};

/* What was brought, in order: one letter each. */
struct turn {
    char brought[BROUGHT_MAX];
    uint32_t count;
};

struct bringer {
    struct net_sleeper sleeper;
    struct turn *turn;
    char letter;
    uint32_t waiting;      /* so many times there is something */
    struct bringer *gives; /* to whom it gives something, when it brings */
};

static bool bring(void *ctx)
{
    struct bringer *bringer = ctx;
    if (bringer->waiting == 0) {
        return false;
    }
    bringer->waiting--;
    assert_true(bringer->turn->count + 1 < BROUGHT_MAX);
    bringer->turn->brought[bringer->turn->count++] = bringer->letter;
    if (bringer->gives != NULL) {
        bringer->gives->waiting++;
    }
    return true;
}

static void begin(struct rpc_fixture *fixture,
                  struct bringer *bringer,
                  enum net_stage stage,
                  struct turn *turn,
                  char letter)
{
    *bringer = (struct bringer){.turn = turn, .letter = letter};
    bringer->sleeper = (struct net_sleeper){.bring = bring, .ctx = bringer};
    net_before_sleep(fixture->net, stage, &bringer->sleeper);
}

static void on_timeout(uv_timer_t *timer)
{
    uv_stop(timer->loop);
}

/* One turn, or as many as it takes until the loop sleeps: then the timer ends it. */
static void run_until_asleep(struct rpc_fixture *fixture, uv_timer_t *timer)
{
    assert_int_equal(uv_timer_init(&fixture->loop, timer), 0);
    assert_int_equal(uv_timer_start(timer, on_timeout, 20, 0), 0);
    (void)uv_run(&fixture->loop, UV_RUN_DEFAULT);
    uv_close((uv_handle_t *)timer, NULL);
}

static void test_stages_bring_in_their_order_whoever_came_first(void **state)
{
    (void)state;
    struct rpc_fixture fixture;
    struct turn turn = {.count = 0};
    struct bringer core;
    struct bringer port;
    struct bringer first;
    struct bringer second;
    uv_timer_t timer;
    rpc_start(&fixture);
    begin(&fixture, &core, NET_STAGE_CORE, &turn, 'c');
    begin(&fixture, &first, NET_STAGE_SERVICES, &turn, '1');
    begin(&fixture, &port, NET_STAGE_PORTS, &turn, 'p');
    begin(&fixture, &second, NET_STAGE_SERVICES, &turn, '2');
    core.waiting = 1;
    port.waiting = 1;
    first.waiting = 1;
    second.waiting = 1;
    run_until_asleep(&fixture, &timer);
    assert_string_equal(turn.brought, "12pc");
    net_before_sleep_no_more(fixture.net, &core.sleeper);
    net_before_sleep_no_more(fixture.net, &port.sleeper);
    net_before_sleep_no_more(fixture.net, &first.sleeper);
    net_before_sleep_no_more(fixture.net, &second.sleeper);
    rpc_stop(&fixture);
}

static void test_what_a_later_stage_gives_an_earlier_one_is_brought_in_the_same_turn(void **state)
{
    (void)state;
    struct rpc_fixture fixture;
    struct turn turn = {.count = 0};
    struct bringer core;
    struct bringer service;
    uv_timer_t timer;
    rpc_start(&fixture);
    begin(&fixture, &service, NET_STAGE_SERVICES, &turn, 's');
    begin(&fixture, &core, NET_STAGE_CORE, &turn, 'c');
    core.gives = &service;
    core.waiting = 1;
    run_until_asleep(&fixture, &timer);
    assert_string_equal(turn.brought, "cs");
    net_before_sleep_no_more(fixture.net, &core.sleeper);
    net_before_sleep_no_more(fixture.net, &service.sleeper);
    rpc_stop(&fixture);
}

static void test_a_loop_does_not_sleep_over_what_a_turn_had_no_round_for(void **state)
{
    (void)state;
    struct rpc_fixture fixture;
    struct turn turn = {.count = 0};
    struct bringer service;
    uv_timer_t timer;
    rpc_start(&fixture);
    begin(&fixture, &service, NET_STAGE_SERVICES, &turn, 's');
    service.waiting = 40; /* more than one turn has rounds */
    run_until_asleep(&fixture, &timer);
    assert_int_equal(service.waiting, 0);
    assert_int_equal(turn.count, 40);
    net_before_sleep_no_more(fixture.net, &service.sleeper);
    rpc_stop(&fixture);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_stages_bring_in_their_order_whoever_came_first),
        cmocka_unit_test(test_what_a_later_stage_gives_an_earlier_one_is_brought_in_the_same_turn),
        cmocka_unit_test(test_a_loop_does_not_sleep_over_what_a_turn_had_no_round_for),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
