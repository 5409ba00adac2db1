/* SPDX-License-Identifier: Apache-2.0 */
/* Calls that live for a while: streams, deadlines, cancellation, back-pressure. */
#include "base/mem.h"
#include "rpc_world.h"

static void test_the_client_deadline_ends_a_silent_call_and_the_server_hears_of_it(void **state)
{
    (void)state;
    struct rpc_world world;
    struct rpc_outcome outcome = {0};
    rpc_world_start(&world);
    struct channel_request request = {.path = "/test.Echo/Silent", .timeout_ms = 100};
    (void)channel_unary(world.channel, &request, slice_of("x", 1), rpc_on_done, &outcome);
    rpc_await(&world, &outcome);
    assert_int_equal(outcome.status, GRPC_DEADLINE_EXCEEDED);
    assert_false(outcome.not_processed);
    rpc_run_until(&world.fixture, &world.echo.cancelled, "the cancellation");
    assert_int_equal(world.echo.cancelled, 1);
    assert_int_equal(server_calls_count(world.server), 0);
    rpc_world_stop(&world);
}

static void test_a_cancelled_call_tells_the_server_and_not_its_owner(void **state)
{
    (void)state;
    struct rpc_world world;
    struct rpc_outcome outcome;
    rpc_world_start(&world);
    rpc_unary(&world, &outcome, "/test.Echo/Silent", "x");
    rpc_run_until(&world.fixture, &world.echo.silent_started, "the start");
    channel_call_cancel(outcome.call);
    rpc_run_until(&world.fixture, &world.echo.cancelled, "the cancellation");
    assert_int_equal(outcome.done, 0);
    rpc_world_stop(&world);
}

static void test_a_call_cancelled_before_it_was_sent_never_arrives(void **state)
{
    (void)state;
    struct rpc_world world;
    struct rpc_outcome outcome;
    struct rpc_outcome second;
    rpc_world_start(&world);
    rpc_unary(&world, &outcome, "/test.Echo/Silent", "x");
    channel_call_cancel(outcome.call);
    rpc_unary(&world, &second, "/test.Echo/Unary", "x");
    rpc_await(&world, &second);
    rpc_assert_reply(&second, "x");
    assert_int_equal(world.echo.silent_started, 0);
    assert_int_equal(outcome.done, 0);
    rpc_world_stop(&world);
}

static void test_a_server_stream_delivers_every_message_in_order(void **state)
{
    (void)state;
    struct rpc_world world;
    struct rpc_outcome outcome = {0};
    rpc_world_start(&world);
    struct channel_request request = rpc_request_of("/test.Echo/Count");
    struct channel_call *call =
        channel_stream(world.channel, &request, &rpc_stream_handlers, &outcome);
    assert_int_equal(channel_call_send(call, slice_of_string("50000")), ERR_OK);
    channel_call_end(call);
    rpc_await(&world, &outcome);
    assert_int_equal(outcome.status, GRPC_OK);
    assert_int_equal(outcome.messages, 50000);
    assert_memory_equal(outcome.reply.data, "message 49999 ", 14);
    assert_true(world.echo.drains > 1);
    buf_deinit(&outcome.reply);
    rpc_world_stop(&world);
}

static void test_a_slow_reader_stops_its_producer_and_nobody_else(void **state)
{
    (void)state;
    struct rpc_world world;
    struct rpc_outcome slow = {0};
    struct rpc_outcome quick;
    rpc_world_start(&world);
    struct channel_request request = rpc_request_of("/test.Echo/Count");
    struct channel_call *call =
        channel_stream(world.channel, &request, &rpc_stream_handlers, &slow);
    channel_call_pause(call);
    assert_int_equal(channel_call_send(call, slice_of_string("100000")), ERR_OK);
    channel_call_end(call);
    /* When is a producer stuck? When others are served and it does not move. */
    uint32_t sent = 1;
    while (sent != world.echo.sent) {
        sent = world.echo.sent;
        rpc_unary(&world, &quick, "/test.Echo/Unary", "x");
        rpc_await(&world, &quick);
        rpc_assert_reply(&quick, "x");
        rpc_run_for(&world.fixture, 20);
    }
    assert_true(sent > 1000 && sent < 60000);
    assert_int_equal(slow.messages, 0);
    channel_call_resume(call);
    rpc_await(&world, &slow);
    assert_int_equal(slow.messages, 100000);
    assert_int_equal(slow.status, GRPC_OK);
    buf_deinit(&slow.reply);
    rpc_world_stop(&world);
}

/* Of so many calls that do not read, each with a message of 3 MiB, those that found room. */
static uint32_t run_slow_calls(struct server_options *options, uint32_t count)
{
    struct rpc_world world;
    struct rpc_outcome *slow = mem_new_array(count, sizeof(*slow));
    uint8_t *bytes = mem_new((size_t)3 << 20);
    rpc_world_start_with(&world, options, false);
    struct channel_request request = rpc_request_of("/test.Echo/Chat");
    for (uint32_t i = 0; i < count; i++) {
        slow[i].call = channel_stream(world.channel, &request, &rpc_stream_handlers, &slow[i]);
        channel_call_pause(slow[i].call);
        assert_int_equal(channel_call_send(slow[i].call, slice_of(bytes, (size_t)3 << 20)), ERR_OK);
    }
    rpc_run_until(&world.fixture, &world.echo.refused, "a message that finds no room");
    /* Who reads is served meanwhile. */
    struct rpc_outcome quick;
    rpc_unary(&world, &quick, "/test.Echo/Unary", "x");
    rpc_await(&world, &quick);
    rpc_assert_reply(&quick, "x");

    uint32_t served = 0;
    for (uint32_t i = 0; i < count; i++) {
        if (slow[i].call != NULL) { /* not refused, or not told yet */
            channel_call_end(slow[i].call);
            channel_call_resume(slow[i].call);
        }
        rpc_await(&world, &slow[i]);
        bool is_refused = slow[i].status == GRPC_RESOURCE_EXHAUSTED;
        assert_true(is_refused || (slow[i].status == GRPC_OK && slow[i].bytes == 3 << 20));
        served += !is_refused;
        buf_deinit(&slow[i].reply);
    }
    assert_int_equal(served, count - world.echo.refused);
    assert_int_equal(server_queued_bytes(world.server), 0);
    mem_free(bytes);
    mem_free(slow);
    rpc_world_stop(&world);
    return served;
}

static void test_replies_that_nobody_reads_are_bounded_for_a_connection(void **state)
{
    (void)state;
    struct server_options options = {.connection_queue_bytes_max = 5 << 20};
    uint32_t served = run_slow_calls(&options, 6);
    assert_true(served >= 1 && served < 6);
}

static void test_replies_that_nobody_reads_are_bounded_for_the_server(void **state)
{
    (void)state;
    struct server_options options = {.queue_bytes_max = 5 << 20};
    uint32_t served = run_slow_calls(&options, 6);
    assert_true(served >= 1 && served < 6);
}

static void test_a_bidirectional_call_echoes_until_the_client_ends(void **state)
{
    (void)state;
    struct rpc_world world;
    struct rpc_outcome outcome = {0};
    rpc_world_start(&world);
    struct channel_request request = {.path = "/test.Echo/Chat"};
    struct channel_call *call =
        channel_stream(world.channel, &request, &rpc_stream_handlers, &outcome);
    for (int i = 0; i < 100; i++) {
        assert_int_equal(channel_call_send(call, slice_of_string("ping")), ERR_OK);
    }
    rpc_run_until(&world.fixture, &outcome.drained, "the queue to drain");
    channel_call_end(call);
    assert_int_equal(channel_call_send(call, slice_of_string("late")), ERR_CLOSED);
    rpc_await(&world, &outcome);
    assert_int_equal(outcome.status, GRPC_OK);
    assert_int_equal(outcome.messages, 100);
    buf_deinit(&outcome.reply);
    rpc_world_stop(&world);
}

static void test_a_paused_server_call_takes_one_message_at_a_time(void **state)
{
    (void)state;
    struct rpc_world world;
    struct rpc_outcome outcome = {0};
    rpc_world_start(&world);
    world.echo.pause_each = 1;
    struct channel_request request = rpc_request_of("/test.Echo/Chat");
    struct channel_call *call =
        channel_stream(world.channel, &request, &rpc_stream_handlers, &outcome);
    uint8_t bytes[3000] = {0};
    for (int i = 0; i < 20; i++) {
        bytes[0] = (uint8_t)i;
        assert_int_equal(channel_call_send(call, slice_of(bytes, sizeof(bytes))), ERR_OK);
    }
    channel_call_end(call);
    for (uint32_t i = 1; i <= 20; i++) {
        while (outcome.messages < i) {
            rpc_run_for(&world.fixture, 2);
        }
        assert_int_equal(outcome.messages, i);
        assert_int_equal(outcome.reply.data[0], i - 1);
        assert_non_null(world.echo.paused);
        server_call_resume(world.echo.paused);
    }
    rpc_await(&world, &outcome);
    assert_int_equal(outcome.status, GRPC_OK);
    assert_int_equal(outcome.bytes, 20 * sizeof(bytes));
    buf_deinit(&outcome.reply);
    rpc_world_stop(&world);
}

static void test_a_server_may_end_a_call_before_the_client_does(void **state)
{
    (void)state;
    struct rpc_world world;
    struct rpc_outcome outcome = {0};
    rpc_world_start(&world);
    struct channel_request request = rpc_request_of("/test.Echo/Early");
    struct channel_call *call =
        channel_stream(world.channel, &request, &rpc_stream_handlers, &outcome);
    assert_int_equal(channel_call_send(call, slice_of_string("x")), ERR_OK);
    rpc_await(&world, &outcome);
    assert_int_equal(outcome.status, GRPC_ABORTED);
    assert_string_equal(outcome.message, "enough");
    rpc_world_stop(&world);
}

static void test_a_client_may_cancel_inside_its_message_handler(void **state)
{
    (void)state;
    struct rpc_world world;
    struct rpc_outcome outcome = {.stop_after = 3};
    rpc_world_start(&world);
    struct channel_request request = rpc_request_of("/test.Echo/Count");
    struct channel_call *call =
        channel_stream(world.channel, &request, &rpc_stream_handlers, &outcome);
    assert_int_equal(channel_call_send(call, slice_of_string("1000000")), ERR_OK);
    channel_call_end(call);
    rpc_run_until(&world.fixture, &world.echo.cancelled, "the cancellation");
    assert_int_equal(outcome.messages, 3);
    assert_int_equal(outcome.done, 0);
    buf_deinit(&outcome.reply);
    rpc_world_stop(&world);
}

static void test_the_server_ends_a_call_at_its_deadline_by_itself(void **state)
{
    (void)state;
    struct rpc_world world;
    struct rpc_outcome outcome = {0};
    rpc_world_start(&world);
    /* A client that names a deadline and does not watch it. */
    static const struct channel_metadata metadata[] = {{"grpc-timeout", "80m"}};
    struct channel_request request = {
        .path = "/test.Echo/Silent",
        .metadata = metadata,
        .metadata_count = 1,
    };
    (void)channel_unary(world.channel, &request, slice_of("x", 1), rpc_on_done, &outcome);
    rpc_await(&world, &outcome);
    assert_int_equal(outcome.status, GRPC_DEADLINE_EXCEEDED);
    assert_int_equal(world.echo.cancelled, 1);
    rpc_world_stop(&world);
}

static void test_a_cancelled_call_gives_back_the_credit_of_what_nobody_read(void **state)
{
    (void)state;
    struct rpc_world world;

    enum {
        LEN = 900000,
        ROUNDS = 12
    }; /* more than the connection's window in all */

    uint8_t *bytes = mem_new(LEN);
    rpc_world_start(&world);
    world.echo.pause_each = 1;
    for (uint32_t round = 1; round <= ROUNDS; round++) {
        struct rpc_outcome outcome = {0};
        struct channel_request request = {.path = "/test.Echo/Chat"};
        struct channel_call *call =
            channel_stream(world.channel, &request, &rpc_stream_handlers, &outcome);
        assert_int_equal(channel_call_send(call, slice_of("pause", 5)), ERR_OK);
        rpc_run_until(&world.fixture, &outcome.messages, "the echo after which it pauses");
        outcome.drained = 0;
        assert_int_equal(channel_call_send(call, slice_of(bytes, LEN)), ERR_OK);
        rpc_run_until(&world.fixture, &outcome.drained, "the data to leave");
        channel_call_cancel(call);
        while (world.echo.cancelled < round) {
            rpc_run_for(&world.fixture, 1);
        }
        buf_deinit(&outcome.reply);
    }
    struct rpc_outcome last = {0};
    struct channel_request request = rpc_request_of("/test.Echo/Unary");
    (void)channel_unary(world.channel, &request, slice_of(bytes, LEN), rpc_on_done, &last);
    rpc_await(&world, &last);
    assert_int_equal(last.status, GRPC_OK);
    assert_int_equal(last.reply.len, LEN);
    buf_deinit(&last.reply);
    mem_free(bytes);
    rpc_world_stop(&world);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_the_client_deadline_ends_a_silent_call_and_the_server_hears_of_it),
        cmocka_unit_test(test_a_cancelled_call_tells_the_server_and_not_its_owner),
        cmocka_unit_test(test_a_call_cancelled_before_it_was_sent_never_arrives),
        cmocka_unit_test(test_a_server_stream_delivers_every_message_in_order),
        cmocka_unit_test(test_a_slow_reader_stops_its_producer_and_nobody_else),
        cmocka_unit_test(test_replies_that_nobody_reads_are_bounded_for_a_connection),
        cmocka_unit_test(test_replies_that_nobody_reads_are_bounded_for_the_server),
        cmocka_unit_test(test_a_bidirectional_call_echoes_until_the_client_ends),
        cmocka_unit_test(test_a_paused_server_call_takes_one_message_at_a_time),
        cmocka_unit_test(test_a_server_may_end_a_call_before_the_client_does),
        cmocka_unit_test(test_a_client_may_cancel_inside_its_message_handler),
        cmocka_unit_test(test_the_server_ends_a_call_at_its_deadline_by_itself),
        cmocka_unit_test(test_a_cancelled_call_gives_back_the_credit_of_what_nobody_read),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
