/* SPDX-License-Identifier: Apache-2.0 */
/* What happens to calls when connections come and go: loss, drain, ageing. */
#include "base/check.h"
#include "rpc_world.h"
#include "tests/support/support_port.h"

#include <string.h>

static void test_without_a_server_a_call_fails_at_once_as_not_processed(void **state)
{
    (void)state;
    struct rpc_world world;
    struct rpc_outcome outcome;
    rpc_world_start(&world);
    channel_free(world.channel);
    struct channel_options options = {.address = rpc_address(support_free_port())};
    assert_int_equal(channel_new(world.fixture.net, &options, rpc_on_state, &world, &world.channel),
                     ERR_OK);
    rpc_unary(&world, &outcome, "/test.Echo/Unary", "x");
    rpc_await(&world, &outcome);
    assert_int_equal(outcome.status, GRPC_UNAVAILABLE);
    assert_true(outcome.not_processed);
    assert_int_equal(channel_last_reason(world.channel), STREAM_REFUSED);
    assert_non_null(strstr(outcome.message, "refused"));
    /* Again, now in backoff. */
    rpc_unary(&world, &outcome, "/test.Echo/Unary", "x");
    rpc_await(&world, &outcome);
    assert_int_equal(outcome.status, GRPC_UNAVAILABLE);
    rpc_world_stop(&world);
}

static void test_a_lost_connection_ends_calls_as_unknown_and_the_channel_comes_back(void **state)
{
    (void)state;
    struct rpc_world world;
    struct rpc_outcome lost;
    struct rpc_outcome waiting = {0};
    rpc_world_start(&world);
    rpc_unary(&world, &lost, "/test.Echo/Silent", "x");
    rpc_run_until(&world.fixture, &world.echo.silent_started, "the start");
    channel_reset(world.channel);
    rpc_await(&world, &lost);
    assert_int_equal(lost.status, GRPC_UNAVAILABLE);
    assert_false(lost.not_processed);
    struct channel_request request = rpc_request_of("/test.Echo/Unary");
    request.wait_for_ready = true;
    (void)channel_unary(world.channel, &request, slice_of("y", 1), rpc_on_done, &waiting);
    rpc_await(&world, &waiting);
    rpc_assert_reply(&waiting, "y");
    rpc_world_stop(&world);
}

struct stubborn {
    struct rpc_world *world;
    struct rpc_outcome again;
    volatile uint32_t lost;
};

/* Asks again within the callback that tells of the loss. */
static void on_lost(const struct channel_result *result, void *ctx)
{
    struct stubborn *stubborn = ctx;
    assert_int_equal(result->status, GRPC_UNAVAILABLE);
    stubborn->lost++;
    struct channel_request request = rpc_request_of("/test.Echo/Unary");
    request.wait_for_ready = true;
    (void)channel_unary(
        stubborn->world->channel, &request, slice_of("y", 1), rpc_on_done, &stubborn->again);
}

static void test_what_is_asked_while_a_connection_is_lost_goes_to_the_next(void **state)
{
    (void)state;
    struct rpc_world world;
    struct stubborn stubborn = {.world = &world};
    rpc_world_start(&world);
    struct channel_request request = rpc_request_of("/test.Echo/Silent");
    (void)channel_unary(world.channel, &request, slice_of("x", 1), on_lost, &stubborn);
    rpc_run_until(&world.fixture, &world.echo.silent_started, "the start");

    channel_reset(world.channel);
    rpc_run_until(&world.fixture, &stubborn.again.done, "the answer to what was asked again");

    assert_int_equal(stubborn.lost, 1);
    rpc_assert_reply(&stubborn.again, "y");
    rpc_world_stop(&world);
}

static void test_too_many_calls_are_refused(void **state)
{
    (void)state;
    struct rpc_world world;
    struct rpc_outcome first;
    struct rpc_outcome second;
    rpc_world_start(&world);
    uint16_t port = server_port(world.server);
    channel_free(world.channel);
    struct channel_options options = {.address = rpc_address(port), .calls_max = 1};
    assert_int_equal(channel_new(world.fixture.net, &options, NULL, NULL, &world.channel), ERR_OK);
    rpc_unary(&world, &first, "/test.Echo/Silent", "x");
    rpc_unary(&world, &second, "/test.Echo/Unary", "x");
    rpc_await(&world, &second);
    assert_int_equal(second.status, GRPC_RESOURCE_EXHAUSTED);
    assert_int_equal(first.done, 0);
    channel_call_cancel(first.call);
    rpc_world_stop(&world);
}

static void test_freeing_a_channel_ends_its_calls(void **state)
{
    (void)state;
    struct rpc_world world;
    struct rpc_outcome outcome;
    rpc_world_start(&world);
    rpc_unary(&world, &outcome, "/test.Echo/Silent", "x");
    rpc_run_until(&world.fixture, &world.echo.silent_started, "the start");
    channel_free(world.channel);
    assert_int_equal(outcome.done, 1);
    assert_int_equal(outcome.status, GRPC_UNAVAILABLE);
    rpc_run_until(&world.fixture, &world.echo.cancelled, "the server to hear of it");
    server_free(world.server);
    rpc_stop(&world.fixture);
}

static void on_drained(struct server *server, void *ctx)
{
    (void)server;
    ((struct rpc_world *)ctx)->drained = 1;
}

static void test_a_drain_lets_calls_finish_and_refuses_new_connections(void **state)
{
    (void)state;
    struct rpc_world world;
    struct rpc_outcome chat = {0};
    struct rpc_outcome late;
    rpc_world_start(&world);
    struct channel_request request = {.path = "/test.Echo/Chat"};
    struct channel_call *call =
        channel_stream(world.channel, &request, &rpc_stream_handlers, &chat);
    assert_int_equal(channel_call_send(call, slice_of_string("one")), ERR_OK);
    rpc_run_until(&world.fixture, &chat.messages, "the first echo");

    server_drain(world.server, 5000, on_drained, &world);
    rpc_run_for(&world.fixture, 200);
    assert_int_equal(world.drained, 0);
    assert_int_equal(channel_call_send(call, slice_of_string("two")), ERR_OK);
    channel_call_end(call);
    rpc_await(&world, &chat);
    assert_int_equal(chat.status, GRPC_OK);
    assert_int_equal(chat.messages, 2);
    rpc_run_until(&world.fixture, &world.drained, "the end of the drain");
    rpc_unary(&world, &late, "/test.Echo/Unary", "x");
    rpc_await(&world, &late);
    assert_int_equal(late.status, GRPC_UNAVAILABLE);
    assert_true(late.not_processed);
    buf_deinit(&chat.reply);
    rpc_world_stop(&world);
}

static void test_a_drain_cancels_what_is_left_after_its_grace(void **state)
{
    (void)state;
    struct rpc_world world;
    struct rpc_outcome outcome;
    rpc_world_start(&world);
    rpc_unary(&world, &outcome, "/test.Echo/Silent", "x");
    rpc_run_until(&world.fixture, &world.echo.silent_started, "the start");
    server_drain(world.server, 50, on_drained, &world);
    rpc_await(&world, &outcome);
    assert_int_equal(outcome.status, GRPC_UNAVAILABLE);
    rpc_run_until(&world.fixture, &world.drained, "the end of the drain");
    assert_int_equal(world.echo.cancelled, 1);
    rpc_world_stop(&world);
}

static void test_an_aged_connection_is_replaced_without_a_failed_call(void **state)
{
    (void)state;
    struct rpc_world world;
    struct server_options options = {.connection_age_max_ms = 500};
    rpc_world_start_with(&world, &options, false);
    uint32_t retired = 0;
    while (retired < 2) {
        struct rpc_outcome outcome = {0};
        struct channel_request request = rpc_request_of("/test.Echo/Unary");
        request.wait_for_ready = true;
        (void)channel_unary(world.channel, &request, slice_of("x", 1), rpc_on_done, &outcome);
        rpc_await(&world, &outcome);
        rpc_assert_reply(&outcome, "x");
        retired += world.ready == 0 ? 1 : 0;
        rpc_run_until(&world.fixture, &world.ready, "the next connection");
    }
    assert_int_equal(world.backoffs, 0);
    rpc_world_stop(&world);
}

static void test_a_long_stream_goes_on_while_its_connection_is_replaced(void **state)
{
    (void)state;
    struct rpc_world world;
    struct rpc_outcome chat = {0};
    struct rpc_outcome quick;
    struct server_options options = {.connection_age_max_ms = 500};
    rpc_world_start_with(&world, &options, false);
    struct channel_request request = {.path = "/test.Echo/Chat"};
    struct channel_call *call =
        channel_stream(world.channel, &request, &rpc_stream_handlers, &chat);
    assert_int_equal(channel_call_send(call, slice_of_string("one")), ERR_OK);
    rpc_run_until(&world.fixture, &chat.messages, "the first echo");
    while (server_connections_count(world.server) < 2) {
        rpc_run_for(&world.fixture, 20);
    }
    rpc_unary(&world, &quick, "/test.Echo/Unary", "x");
    rpc_await(&world, &quick);
    rpc_assert_reply(&quick, "x");
    assert_int_equal(channel_call_send(call, slice_of_string("two")), ERR_OK);
    channel_call_end(call);
    rpc_await(&world, &chat);
    assert_int_equal(chat.status, GRPC_OK);
    assert_int_equal(chat.messages, 2);
    assert_int_equal(world.backoffs, 0);
    buf_deinit(&chat.reply);
    rpc_world_stop(&world);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_without_a_server_a_call_fails_at_once_as_not_processed),
        cmocka_unit_test(test_a_lost_connection_ends_calls_as_unknown_and_the_channel_comes_back),
        cmocka_unit_test(test_what_is_asked_while_a_connection_is_lost_goes_to_the_next),
        cmocka_unit_test(test_too_many_calls_are_refused),
        cmocka_unit_test(test_freeing_a_channel_ends_its_calls),
        cmocka_unit_test(test_a_drain_lets_calls_finish_and_refuses_new_connections),
        cmocka_unit_test(test_a_drain_cancels_what_is_left_after_its_grace),
        cmocka_unit_test(test_a_long_stream_goes_on_while_its_connection_is_replaced),
        cmocka_unit_test(test_an_aged_connection_is_replaced_without_a_failed_call),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
