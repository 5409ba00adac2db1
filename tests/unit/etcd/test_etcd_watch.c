/* SPDX-License-Identifier: Apache-2.0 */
/* Goal: whatever the pace of clients and writers, a watcher hears each change once, in order, or a
 * clear word why not, and what it is told about the revision it has reached is true. Method: the
 * hub alone, the rest played by watch_world.c. */
#include "watch_world.h"

#include "base/mem.h"

enum {
    VALUE_BYTES = 20 * 1024,
    PUTS = 60, /* 1.2 MB: several slices, and more than a stream holds */
};

static void put_many(struct world *world, uint32_t count)
{
    uint8_t *value = mem_new(VALUE_BYTES);
    for (uint32_t i = 0; i < count; i++) {
        world_put(world, "key", slice_of(value, VALUE_BYTES));
    }
    mem_free(value);
}

static void put_one(struct world *world)
{
    world_put(world, "key", slice_of_string("value"));
}

static void test_three_laggards_of_a_full_stream_go_on_when_it_drains(void **state)
{
    (void)state;
    struct world *world = world_new();
    put_many(world, PUTS);
    struct listener *call = world_open(world);
    for (int i = 0; i < 3; i++) {
        world_watch_all(world, call, 2);
    }
    world_settle(world);

    /* Held back: each sends one slice at the most into a stream that is full. */
    assert_true(call->queued <= WATCH_STREAM_BYTES_MAX + WATCH_SLICE_BYTES_MAX + 2 * VALUE_BYTES);
    world_catch_up(world, call);

    for (int64_t id = 0; id < 3; id++) {
        world_assert_heard(call, 0, id, 2, 1 + PUTS);
    }
    assert_false(call->over);
    put_one(world);
    world_settle(world);
    for (int64_t id = 0; id < 3; id++) {
        world_assert_heard(call, 0, id, 2, 2 + PUTS);
    }
    world_close(call);
    world_free(world);
}

static void test_a_stream_drains_while_a_slice_is_read_for_one_of_its_laggards(void **state)
{
    (void)state;
    struct world *world = world_new();
    put_many(world, PUTS);
    struct listener *call = world_open(world);
    for (int i = 0; i < 4; i++) {
        world_watch_all(world, call, 2);
    }
    for (bool more = true; more;) {
        more = world_visit(world);
        world_drain(call);
        more = world->run != NULL || more;
    }
    for (int64_t id = 0; id < 4; id++) {
        world_assert_heard(call, 0, id, 2, 1 + PUTS);
    }
    world_close(call);
    world_free(world);
}

static void test_a_slow_client_lags_and_is_not_cut_off(void **state)
{
    (void)state;
    struct world *world = world_new();
    struct listener *call = world_open(world);
    const int watchers = 40; /* with a slice each they would break the bound of the queue */
    for (int i = 0; i < watchers; i++) {
        world_watch_all(world, call, 0);
    }
    world_settle(world);
    for (int i = 0; i < 4; i++) {
        put_many(world, PUTS / 4);
        world_settle(world);
    }
    assert_false(call->over);
    world_catch_up(world, call);
    for (int64_t id = 0; id < watchers; id++) {
        world_assert_heard(call, 0, id, 2, 1 + PUTS);
    }
    world_close(call);
    world_free(world);
}

static void test_a_stream_beside_others_that_are_full_waits_for_its_own_drain(void **state)
{
    (void)state;
    struct world *world = world_new();
    struct listener *call = world_open(world);
    world_watch_all(world, call, 0);
    put_many(world, 2);
    call->taken = FRONT_REPLY_BYTES_MAX - VALUE_BYTES; /* room for less than is to be sent */
    world_settle(world);
    assert_false(call->over);
    call->taken = 0;
    world_catch_up(world, call);
    world_assert_heard(call, 0, 0, 2, 3);
    world_close(call);
    world_free(world);
}

static void test_the_header_of_a_laggard_says_how_far_it_has_come(void **state)
{
    (void)state;
    struct world *world = world_new();
    struct listener *other = world_open(world);
    world_watch_all(world, other, 0);
    put_many(world, PUTS);
    world_settle(world);
    struct listener *call = world_open(world);
    world_watch_all(world, call, 2);
    assert_true(world_visit(world));
    const struct heard created = world_heard(call, 0);
    assert_true(created.created);
    const struct heard first = world_heard(call, 1);
    assert_true(first.last_revision < 1 + PUTS);
    assert_int_equal(first.revision, first.last_revision);
    world_close(call);
    world_close(other);
    world_free(world);
}

static void test_writes_without_end_do_not_keep_a_laggard_waiting(void **state)
{
    (void)state;
    struct world *world = world_new();
    struct listener *live = world_open(world);
    world_watch_all(world, live, 0);
    put_many(world, PUTS);
    world_settle(world);
    world_drain(live);
    struct listener *late = world_open(world);
    world_watch_all(world, late, 2);
    for (int i = 0; i < 20; i++) {
        put_one(world);
        (void)world_visit(world);
        world_drain(late);
    }
    world_assert_heard(late, 0, 0, 2, world_heard(late, late->sent_count - 1).last_revision);
    assert_true(late->sent_count > 1 + 1);
    world_close(late);
    world_close(live);
    world_free(world);
}

static void test_a_progress_that_was_asked_for_waits_for_the_laggards_of_its_stream(void **state)
{
    (void)state;
    struct world *world = world_new();
    put_many(world, PUTS);
    struct listener *call = world_open(world);
    world_watch_all(world, call, 2);
    world_ask_progress(world, call);
    world_catch_up(world, call);
    const struct heard last = world_heard(call, call->sent_count - 1);
    assert_int_equal(last.id, WATCH_ID_NONE);
    assert_int_equal(last.events, 0);
    assert_int_equal(last.revision, 1 + PUTS);
    world_close(call);
    world_free(world);
}

static void test_a_progress_that_was_asked_for_is_never_behind_what_the_member_showed(void **state)
{
    (void)state;
    struct world *world = world_new();
    struct listener *call = world_open(world);
    world_watch_all(world, call, 0);
    put_one(world);
    world_ask_progress(world, call);
    assert_int_equal(call->sent_count, 1); /* the slice with it is under way */
    put_one(world);
    world_ask_progress(world, call);
    world_settle(world);
    assert_int_equal(world_heard(call, 1).last_revision, 3);
    assert_int_equal(world_heard(call, 2).id, WATCH_ID_NONE);
    assert_int_equal(world_heard(call, 2).revision, 3);
    assert_int_equal(call->sent_count, 3);
    world_ask_progress(world, call);
    assert_int_equal(world_heard(call, 3).revision, 3);
    world_close(call);
    world_free(world);
}

/* More is written all the time than one slice has. */
static void test_writes_without_end_leave_no_question_for_progress_unanswered(void **state)
{
    (void)state;
    struct world *world = world_new();
    struct listener *call = world_open(world);
    call->eager = true;
    world_watch_all(world, call, 0);
    for (uint32_t i = 0; i < 10; i++) {
        put_many(world, PUTS);
        world_ask_progress(world, call);
        assert_true(world_visit(world));
        assert_true(world_heard(call, call->sent_count - 1).revision < 1 + PUTS * (i + 1));
    }
    uint32_t answers = 0;
    for (uint32_t i = 0; i < call->sent_count; i++) {
        answers += world_heard(call, i).id == WATCH_ID_NONE ? 1 : 0;
    }
    assert_in_range(answers, 2, 9);
    world_close(call);
    world_free(world);
}

static void test_a_compaction_up_to_the_head_cancels_nobody_who_is_up_to_date(void **state)
{
    (void)state;
    struct world *world = world_new();
    struct listener *call = world_open(world);
    world_watch_all(world, call, 0);
    for (int64_t i = 0; i < 5; i++) {
        put_one(world);
    }
    world_compact(world, 6);
    world_settle(world);
    world_assert_heard(call, 0, 0, 2, 6);
    put_one(world); /* sweeps what is superseded */
    world_settle(world);
    world_assert_heard(call, 0, 0, 2, 7);

    /* One who asks for what is gone is told so, though some of it may be there still. */
    world_watch_all(world, call, 5);
    world_settle(world);
    const struct heard last = world_heard(call, call->sent_count - 1);
    assert_true(last.canceled);
    assert_int_equal(last.compacted, 6);
    world_close(call);
    world_free(world);
}

static void test_who_was_slower_than_a_compaction_and_its_sweep_is_told_so(void **state)
{
    (void)state;
    struct world *world = world_new();
    struct listener *call = world_open(world);
    world_watch_all(world, call, 0);
    for (int64_t i = 0; i < 5; i++) {
        put_one(world);
    }
    world_compact(world, 6);
    put_one(world);
    world_settle(world);
    const struct heard last = world_heard(call, call->sent_count - 1);
    assert_true(last.canceled);
    assert_int_equal(last.compacted, 6);
    assert_int_equal(world->etcd.watches->count, 0);
    world_close(call);
    world_free(world);
}

static void test_thousands_of_watchers_come_and_go_by_their_ids(void **state)
{
    (void)state;

    enum {
        WATCHERS = 2000
    };
    struct world *world = world_new();
    struct listener *call = world_open(world);
    struct listener *other = world_open(world);
    world_watch_all(world, other, 0);
    for (int i = 0; i < WATCHERS; i++) {
        world_watch_all(world, call, 1000000);
    }
    for (int64_t id = 0; id < WATCHERS; id++) {
        world_cancel(world, call, (id * 7) % WATCHERS);
    }
    for (int64_t id = 0; id < WATCHERS; id++) {
        const struct heard heard = world_heard(call, (uint32_t)(WATCHERS + id));
        assert_true(heard.canceled);
        assert_int_equal(heard.id, (id * 7) % WATCHERS);
    }
    world_cancel(world, call, 5); /* of none: no answer */
    assert_int_equal(call->sent_count, 2 * WATCHERS);
    assert_int_equal(world->etcd.watches->count, 1);
    world_close(call);
    put_one(world);
    world_settle(world);
    world_assert_heard(other, 0, 0, 2, 2);
    world_close(other);
    world_free(world);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_three_laggards_of_a_full_stream_go_on_when_it_drains),
        cmocka_unit_test(test_a_stream_drains_while_a_slice_is_read_for_one_of_its_laggards),
        cmocka_unit_test(test_a_slow_client_lags_and_is_not_cut_off),
        cmocka_unit_test(test_a_stream_beside_others_that_are_full_waits_for_its_own_drain),
        cmocka_unit_test(test_the_header_of_a_laggard_says_how_far_it_has_come),
        cmocka_unit_test(test_a_compaction_up_to_the_head_cancels_nobody_who_is_up_to_date),
        cmocka_unit_test(test_who_was_slower_than_a_compaction_and_its_sweep_is_told_so),
        cmocka_unit_test(test_thousands_of_watchers_come_and_go_by_their_ids),
        cmocka_unit_test(test_writes_without_end_do_not_keep_a_laggard_waiting),
        cmocka_unit_test(test_a_progress_that_was_asked_for_waits_for_the_laggards_of_its_stream),
        cmocka_unit_test(test_a_progress_that_was_asked_for_is_never_behind_what_the_member_showed),
        cmocka_unit_test(test_writes_without_end_leave_no_question_for_progress_unanswered),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
