/* SPDX-License-Identifier: Apache-2.0 */
/* Goal: a revision of many megabytes reaches those who want it whole, in parts if they asked for
 * that, and never breaks a stream; what no response may have ends one watcher, with a word. And
 * many watchers of many keys do not hold the loop. Method: as in test_etcd_watch.c. */
#include "watch_world.h"

#include "base/mem.h"

#include <stdio.h>

enum {
    VALUE_BYTES = 10 * 1024,
    KEYS = 1000, /* 10 MB: more than a stream may have unsent */
};

/* One revision: revision KEYS + 2, with KEYS events; each shows VALUE_BYTES with prev_kv. */
static struct world *world_with_a_large_deletion_to_come(void)
{
    struct world *world = world_new();
    uint8_t *value = mem_new(VALUE_BYTES);
    for (uint32_t i = 0; i < KEYS; i++) {
        char key[16];
        (void)snprintf(key, sizeof(key), "key/%05u", i);
        world_put(world, key, slice_of(value, VALUE_BYTES));
    }
    mem_free(value);
    return world;
}

static void delete_all(struct world *world)
{
    const struct kv_op op = {
        .kind = KV_OP_DELETE,
        .del = {.range = {.key = slice_of_string("key/"), .end = slice_of_string("key0")}}};
    world_add(world, &op);
    world_apply(world);
}

static void watch(struct world *world, struct listener *call, int64_t revision, bool fragment)
{
    Etcdserverpb__WatchCreateRequest request = world_all_keys(revision);
    request.prev_kv = true;
    request.fragment = fragment;
    world_watch(world, call, &request);
}

static void test_a_large_revision_comes_in_parts_with_nothing_between_them(void **state)
{
    (void)state;
    struct world *world = world_with_a_large_deletion_to_come();
    struct listener *call = world_open(world);
    watch(world, call, 0, true);
    watch(world, call, 0, true);
    delete_all(world);
    world_settle(world);
    world_catch_up(world, call);
    assert_false(call->over);

    uint32_t events[2] = {0};
    int64_t under_way = WATCH_ID_NONE;
    uint32_t parts = 0;
    for (uint32_t i = 2; i < call->sent_count; i++) {
        const struct heard heard = world_heard(call, i);
        assert_true(under_way == WATCH_ID_NONE || under_way == heard.id);
        assert_true(call->sent[i].len < WATCH_FRAGMENT_BYTES_MAX + 100);
        assert_int_equal(heard.first_revision, KEYS + 2);
        assert_int_equal(heard.revision, KEYS + 2);
        assert_in_range(heard.id, 0, 1);
        events[heard.id] += heard.events;
        under_way = heard.fragment ? heard.id : WATCH_ID_NONE;
        parts++;
    }
    assert_int_equal(under_way, WATCH_ID_NONE);
    assert_int_equal(events[0], KEYS);
    assert_int_equal(events[1], KEYS);
    assert_in_range(parts, 2 * 5, 2 * 6);
    world_close(call);
    world_free(world);
}

static void test_a_large_revision_waits_for_an_empty_stream_and_comes_whole(void **state)
{
    (void)state;
    struct world *world = world_with_a_large_deletion_to_come();
    struct listener *call = world_open(world);
    watch(world, call, 0, false);
    watch(world, call, 0, false);
    world_watch_all(world, call, 0);
    delete_all(world);
    world_settle(world);
    /* The words that they were created with have not been taken in. */
    assert_true(call->queued > 0 && call->queued < WATCH_STREAM_BYTES_MAX);
    world_put(world, "late", slice_of_string("value"));
    world_settle(world);
    world_ask_progress(world, call);
    world_catch_up(world, call);

    assert_false(call->over);
    uint32_t events[3] = {0};
    for (uint32_t i = 3; i < call->sent_count; i++) {
        const struct heard heard = world_heard(call, i);
        assert_false(heard.fragment);
        if (heard.id != WATCH_ID_NONE) {
            events[heard.id] += heard.events;
        }
    }
    for (int id = 0; id < 3; id++) {
        assert_int_equal(events[id], KEYS + 1);
    }
    assert_int_equal(world_heard(call, call->sent_count - 1).id, WATCH_ID_NONE);
    world_close(call);
    world_free(world);
}

static void test_a_client_that_begins_to_read_gets_what_was_kept_and_the_rest(void **state)
{
    (void)state;
    struct world *world = world_with_a_large_deletion_to_come();
    struct listener *call = world_open(world);
    for (int i = 0; i < 4; i++) {
        watch(world, call, 0, i % 2 == 0);
    }
    delete_all(world);
    world_settle(world);
    call->eager = true;
    world_drain(call);
    for (int i = 0; i < 3; i++) {
        world_put(world, "late", slice_of_string("value"));
        (void)world_visit(world);
    }
    world_settle(world);
    uint32_t events[4] = {0};
    for (uint32_t i = 4; i < call->sent_count; i++) {
        const struct heard heard = world_heard(call, i);
        events[heard.id] += heard.events;
    }
    for (int id = 0; id < 4; id++) {
        assert_int_equal(events[id], KEYS + 3);
    }
    world_close(call);
    world_free(world);
}

static void test_a_watcher_whose_response_is_kept_can_be_cancelled(void **state)
{
    (void)state;
    struct world *world = world_with_a_large_deletion_to_come();
    struct listener *call = world_open(world);
    watch(world, call, 0, false);
    world_watch_all(world, call, 0);
    delete_all(world);
    world_settle(world);
    world_cancel(world, call, 0);
    world_put(world, "late", slice_of_string("value"));
    world_catch_up(world, call);
    const struct heard last = world_heard(call, call->sent_count - 1);
    assert_int_equal(last.id, 1);
    assert_int_equal(last.last_revision, KEYS + 3);
    world_close(call);
    world_free(world);
}

static void test_what_no_response_may_have_ends_one_watcher_with_a_word(void **state)
{
    (void)state;
    struct world *world = world_with_a_large_deletion_to_come();
    world->etcd.watches->response_bytes_max = KEYS * VALUE_BYTES / 2;
    struct listener *call = world_open(world);
    watch(world, call, KEYS, false); /* begins with revisions that fit */
    world_watch_all(world, call, 0); /* without the values */
    delete_all(world);
    world_settle(world);
    world_catch_up(world, call);
    world_put(world, "late", slice_of_string("value"));
    world_settle(world);

    assert_false(call->over);
    assert_int_equal(world->etcd.watches->count, 1);
    bool cancelled = false;
    uint32_t events[2] = {0};
    for (uint32_t i = 2; i < call->sent_count; i++) {
        const struct heard heard = world_heard(call, i);
        events[heard.id] += heard.events;
        if (heard.canceled) {
            assert_int_equal(heard.id, 0);
            assert_int_equal(heard.compacted, 0);
            assert_non_null(strstr(heard.reason, "more than a response may have"));
            cancelled = true;
        }
    }
    assert_true(cancelled);
    assert_int_equal(events[0], 2);
    assert_int_equal(events[1], KEYS + 1);
    world_close(call);
    world_free(world);
}

static void test_a_thousand_ranges_hear_of_a_thousand_keys_at_once(void **state)
{
    (void)state;

    enum {
        RANGES = 1200
    };
    struct world *world = world_with_a_large_deletion_to_come();
    struct listener *call = world_open(world);
    for (uint32_t i = 0; i < RANGES; i++) {
        char from[16];
        char end[16];
        (void)snprintf(from, sizeof(from), "key/%05u", i);
        (void)snprintf(end, sizeof(end), "key/%05u", i + 2);
        Etcdserverpb__WatchCreateRequest request = ETCDSERVERPB__WATCH_CREATE_REQUEST__INIT;
        request.key = (ProtobufCBinaryData){.data = (uint8_t *)from, .len = strlen(from)};
        request.range_end = (ProtobufCBinaryData){.data = (uint8_t *)end, .len = strlen(end)};
        world_watch(world, call, &request);
    }
    uint32_t created = call->sent_count;
    assert_int_equal(created, RANGES);
    delete_all(world);
    world_catch_up(world, call);
    uint32_t *events = mem_new_array(RANGES, sizeof(*events));
    for (uint32_t i = created; i < call->sent_count; i++) {
        const struct heard heard = world_heard(call, i);
        events[heard.id] += heard.events;
    }
    for (uint32_t i = 0; i < RANGES; i++) {
        assert_int_equal(events[i], i + 1 < KEYS ? 2 : i + 1 == KEYS ? 1 : 0);
    }
    mem_free(events);
    world_close(call);
    world_free(world);
}

static void test_one_who_came_after_a_slice_was_begun_still_sees_what_was_before(void **state)
{
    (void)state;
    struct world *world = world_new();
    struct listener *call = world_open(world);
    world_watch_all(world, call, 0);
    world_put(world, "key", slice_of_string("first"));
    watch(world, call, 0, false); /* while a slice without previous values is under way */
    world_put(world, "key", slice_of_string("second"));
    world_settle(world);
    const struct slice last = buf_view(&call->sent[call->sent_count - 1]);
    assert_int_equal(world_heard(call, call->sent_count - 1).id, 1);
    assert_non_null(memmem(last.data, last.len, "first", 5));
    world_close(call);
    world_free(world);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_a_large_revision_comes_in_parts_with_nothing_between_them),
        cmocka_unit_test(test_a_large_revision_waits_for_an_empty_stream_and_comes_whole),
        cmocka_unit_test(test_a_client_that_begins_to_read_gets_what_was_kept_and_the_rest),
        cmocka_unit_test(test_a_watcher_whose_response_is_kept_can_be_cancelled),
        cmocka_unit_test(test_what_no_response_may_have_ends_one_watcher_with_a_word),
        cmocka_unit_test(test_a_thousand_ranges_hear_of_a_thousand_keys_at_once),
        cmocka_unit_test(test_one_who_came_after_a_slice_was_begun_still_sees_what_was_before),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
