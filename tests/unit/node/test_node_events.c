/* SPDX-License-Identifier: Apache-2.0 */
/* Goal: what waits for the core comes out in the order in which it went in, with what it owns, and
 * nothing is lost or leaks. Method: the real queue, while it grows and goes round. */
#include "node/node_events.h"

#include "base/mem.h"

/* cmocka.h needs these before it. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>

#include <cmocka.h>

static void put_read(struct node_events *events, uint64_t id)
{
    const struct node_event event = {.core = {.type = RAFT_EVENT_READ, .read_id = id}};
    node_events_put(events, &event);
}

static uint64_t take_read(struct node_events *events)
{
    struct node_event event;
    assert_true(node_events_take(events, &event));
    assert_int_equal(event.core.type, RAFT_EVENT_READ);
    return event.core.read_id;
}

static void test_events_come_out_in_the_order_in_which_they_went_in(void **state)
{
    (void)state;
    struct node_events events = {0};
    struct node_event event;
    uint64_t in = 0;
    uint64_t out = 0;

    /* Given a queue that is emptied in part, so that its places go round while it grows. */
    for (int round = 0; round < 40; round++) {
        for (int i = 0; i < 7; i++) {
            put_read(&events, ++in);
        }
        for (int i = 0; i < 5; i++) {
            assert_int_equal(take_read(&events), ++out);
        }
    }

    /* When the rest is taken, it is in order, and then there is nothing. */
    while (out < in) {
        assert_int_equal(take_read(&events), ++out);
    }
    assert_false(node_events_take(&events, &event));
    node_events_deinit(&events);
}

static void test_an_event_that_moved_points_at_its_own_message(void **state)
{
    (void)state;
    struct node_events events = {0};
    struct node_event event = {.core.type = RAFT_EVENT_RECEIVE};
    event.message.type = RAFT_APPEND;
    event.message.append.entries = mem_new(sizeof(struct raft_entry));
    event.message.append.entries[0].payload = blob_new(slice_of("abc", 3));
    event.message.append.entries_count = 1;

    /* Given that the queue has grown since it was put there. */
    node_events_put(&events, &event);
    for (uint64_t i = 1; i <= 100; i++) {
        put_read(&events, i);
    }

    assert_true(node_events_take(&events, &event));
    assert_ptr_equal(event.core.message, &event.message);
    assert_int_equal(event.message.append.entries[0].payload->len, 3);
    node_event_deinit(&event);
    node_events_deinit(&events);
}

static void test_what_was_never_taken_is_let_go(void **state)
{
    (void)state;
    struct node_events events = {0};
    struct blob *chunk = blob_new(slice_of("abc", 3));
    struct raft_proposal *proposal = mem_new(sizeof(*proposal));
    proposal->payload = blob_ref(chunk);
    const struct node_event read = {.core.type = RAFT_EVENT_SNAPSHOT_READ,
                                    .chunk = blob_ref(chunk)};
    const struct node_event propose = {
        .core = {.type = RAFT_EVENT_PROPOSE, .propose.count = 1},
        .propose = {.proposals = proposal, .waiters = mem_new(sizeof(struct proposals_waiter))},
    };

    node_events_put(&events, &read);
    node_events_put(&events, &propose);
    node_events_deinit(&events);

    /* Then ours is the last reference (the leak check of the sanitizer agrees). */
    assert_int_equal(chunk->len, 3);
    blob_unref(chunk);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_events_come_out_in_the_order_in_which_they_went_in),
        cmocka_unit_test(test_an_event_that_moved_points_at_its_own_message),
        cmocka_unit_test(test_what_was_never_taken_is_let_go),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
