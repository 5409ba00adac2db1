/* SPDX-License-Identifier: Apache-2.0 */
/* One gRPC call over loopback, with our own client: answers, refusals, bounds, garbage, health.
 * Stock clients are in tests/interop. */
#include "base/check.h"
#include "base/mem.h"
#include "rpc/health.h"
#include "rpc_world.h"

#include <stdio.h>
#include <string.h>

static void test_a_unary_call_begun_before_the_connection_is_ready_is_answered(void **state)
{
    (void)state;
    struct rpc_world world;
    struct rpc_outcome outcome;
    rpc_world_start(&world);
    rpc_unary(&world, &outcome, "/test.Echo/Unary", "hello");
    rpc_await(&world, &outcome);
    rpc_assert_reply(&outcome, "hello");
    assert_int_equal(server_calls_count(world.server), 0);
    rpc_world_stop(&world);
}

static void test_an_empty_message_is_a_message(void **state)
{
    (void)state;
    struct rpc_world world;
    struct rpc_outcome outcome;
    rpc_world_start(&world);
    rpc_unary(&world, &outcome, "/test.Echo/Unary", "");
    rpc_await(&world, &outcome);
    rpc_assert_reply(&outcome, "");
    rpc_world_stop(&world);
}

static void test_over_mutual_tls_the_handler_knows_the_caller(void **state)
{
    (void)state;
    struct rpc_world world;
    struct rpc_outcome outcome = {0};
    struct server_options options = {0};
    rpc_world_start_with(&world, &options, true);
    static const struct channel_metadata metadata[] = {{"x-test", "v"}};
    struct channel_request request = rpc_request_of("/test.Echo/Peer");
    request.metadata = metadata;
    request.metadata_count = 1;
    (void)channel_unary(world.channel, &request, slice_of(NULL, 0), rpc_on_done, &outcome);
    rpc_await(&world, &outcome);
    rpc_assert_reply(&outcome, "spiffe://indaba.test/operator/anna v");
    assert_string_equal(channel_peer(world.channel), "spiffe://indaba.test/member/n1");
    rpc_world_stop(&world);
}

static void test_status_message_details_and_trailers_arrive(void **state)
{
    (void)state;
    struct rpc_world world;
    struct rpc_outcome outcome;
    rpc_world_start(&world);
    rpc_unary(&world, &outcome, "/test.Echo/Fail", "x");
    rpc_await(&world, &outcome);
    assert_int_equal(outcome.status, GRPC_FAILED_PRECONDITION);
    assert_string_equal(outcome.message, "é frozen 100%\n");
    assert_string_equal(outcome.reason, "FROZEN");
    assert_false(outcome.not_processed);
    rpc_world_stop(&world);
}

static void test_an_unknown_method_is_unimplemented(void **state)
{
    (void)state;
    struct rpc_world world;
    struct rpc_outcome outcome;
    rpc_world_start(&world);
    rpc_unary(&world, &outcome, "/test.Echo/Nothing", "x");
    rpc_await(&world, &outcome);
    assert_int_equal(outcome.status, GRPC_UNIMPLEMENTED);
    assert_non_null(strstr(outcome.message, "/test.Echo/Nothing"));
    rpc_world_stop(&world);
}

static void test_many_calls_share_one_connection(void **state)
{
    (void)state;
    struct rpc_world world;

    enum {
        COUNT = 500
    };
    struct rpc_outcome *outcomes = mem_new_array(COUNT, sizeof(*outcomes));
    char texts[COUNT][16];
    rpc_world_start(&world);
    for (size_t i = 0; i < COUNT; i++) {
        snprintf(texts[i], sizeof(texts[i]), "call %zu", i);
        rpc_unary(&world, &outcomes[i], "/test.Echo/Unary", texts[i]);
    }
    for (size_t i = 0; i < COUNT; i++) {
        rpc_await(&world, &outcomes[i]);
        rpc_assert_reply(&outcomes[i], texts[i]);
    }
    assert_int_equal(server_connections_count(world.server), 1);
    mem_free(outcomes);
    rpc_world_stop(&world);
}

static void test_a_large_message_passes_the_windows_and_one_too_large_is_refused(void **state)
{
    (void)state;
    struct rpc_world world;

    enum {
        LARGE = GRPC_MESSAGE_BYTES_MAX
    };

    uint8_t *bytes = mem_new(LARGE + 1);
    rpc_world_start(&world);
    struct channel_request request = rpc_request_of("/test.Echo/Unary");
    for (size_t excess = 0; excess <= 1; excess++) {
        struct rpc_outcome outcome = {0};
        (void)channel_unary(
            world.channel, &request, slice_of(bytes, LARGE + excess), rpc_on_done, &outcome);
        rpc_await(&world, &outcome);
        assert_int_equal(outcome.status, excess == 0 ? GRPC_OK : GRPC_RESOURCE_EXHAUSTED);
        assert_int_equal(outcome.reply.len, excess == 0 ? LARGE : 0);
        buf_deinit(&outcome.reply);
    }
    /* The connection survives, with all of its credit. */
    for (int i = 0; i < 12; i++) {
        struct rpc_outcome outcome = {0};
        (void)channel_unary(world.channel, &request, slice_of(bytes, LARGE), rpc_on_done, &outcome);
        rpc_await(&world, &outcome);
        assert_int_equal(outcome.status, GRPC_OK);
        buf_deinit(&outcome.reply);
    }
    assert_int_equal(world.backoffs, 0);
    mem_free(bytes);
    rpc_world_stop(&world);
}

static void test_garbage_ends_the_connection_and_not_the_server(void **state)
{
    (void)state;
    struct rpc_world world;
    struct rpc_peer peer;
    struct rpc_outcome outcome;
    rpc_world_start(&world);
    static const char *const garbage[] = {
        "GET / HTTP/1.1\r\n\r\n",
        "PRI * HTTP/2.0\r\n\r\nSM\r\n\r\nxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxx",
        "\x16\x03\x01\x02\x00\x01",
    };
    for (size_t i = 0; i < ARRAY_LEN(garbage); i++) {
        rpc_peer_connect(
            &world.fixture, &peer, server_port(world.server), &(struct stream_options){0});
        rpc_run_until(&world.fixture, &peer.opened, "open");
        rpc_peer_send(&peer, garbage[i], strlen(garbage[i]));
        rpc_run_until(&world.fixture, &peer.closed, "the end");
        assert_int_equal(peer.reason, STREAM_EOF);
        buf_deinit(&peer.received);
    }
    rpc_unary(&world, &outcome, "/test.Echo/Unary", "x");
    rpc_await(&world, &outcome);
    rpc_assert_reply(&outcome, "x");
    rpc_world_stop(&world);
}

static void test_headers_beyond_the_bound_are_refused(void **state)
{
    (void)state;
    struct rpc_world world;
    struct rpc_outcome outcome = {0};
    rpc_world_start(&world);
    char *value = mem_new(9001);
    memset(value, 'a', 9000);
    struct channel_metadata metadata[] = {{"x-large", value}};
    struct channel_request request = rpc_request_of("/test.Echo/Unary");
    request.metadata = metadata;
    request.metadata_count = 1;
    (void)channel_unary(world.channel, &request, slice_of("x", 1), rpc_on_done, &outcome);
    rpc_await(&world, &outcome);
    assert_int_equal(outcome.status, GRPC_RESOURCE_EXHAUSTED);
    mem_free(value);
    rpc_world_stop(&world);
}

static void test_health_is_checked_and_watched(void **state)
{
    (void)state;
    struct rpc_world world;
    struct rpc_outcome check;
    struct rpc_outcome watch = {0};
    rpc_world_start(&world);
    struct health *health = health_new(world.server);
    health_set(health, "leader", true);
    rpc_unary(&world, &check, "/grpc.health.v1.Health/Check", "\x0a\x06leader");
    rpc_await(&world, &check);
    rpc_assert_reply(&check, "\x08\x01");
    rpc_unary(&world, &check, "/grpc.health.v1.Health/Check", "");
    rpc_await(&world, &check);
    rpc_assert_reply(&check, "\x08\x02");
    rpc_unary(&world, &check, "/grpc.health.v1.Health/Check", "\x0a\x01?");
    rpc_await(&world, &check);
    assert_int_equal(check.status, GRPC_NOT_FOUND);

    struct channel_request request = rpc_request_of("/grpc.health.v1.Health/Watch");
    struct channel_call *call =
        channel_stream(world.channel, &request, &rpc_stream_handlers, &watch);
    assert_int_equal(channel_call_send(call, slice_of("\x0a\x03new", 5)), ERR_OK);
    channel_call_end(call);
    static const uint8_t expected[] = {3, 2, 1}; /* unknown, not serving, serving */
    for (uint32_t i = 0; i < ARRAY_LEN(expected); i++) {
        while (watch.messages <= i) {
            rpc_run_for(&world.fixture, 2);
        }
        assert_int_equal(watch.reply.data[1], expected[i]);
        health_set(health, "new", i > 0);
        health_set(health, "new", i > 0); /* no change, no message */
    }
    assert_int_equal(watch.messages, 3);
    channel_call_cancel(call);
    buf_deinit(&watch.reply);
    rpc_world_stop(&world);
    health_free(health);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_a_unary_call_begun_before_the_connection_is_ready_is_answered),
        cmocka_unit_test(test_an_empty_message_is_a_message),
        cmocka_unit_test(test_over_mutual_tls_the_handler_knows_the_caller),
        cmocka_unit_test(test_status_message_details_and_trailers_arrive),
        cmocka_unit_test(test_an_unknown_method_is_unimplemented),
        cmocka_unit_test(test_many_calls_share_one_connection),
        cmocka_unit_test(test_a_large_message_passes_the_windows_and_one_too_large_is_refused),
        cmocka_unit_test(test_garbage_ends_the_connection_and_not_the_server),
        cmocka_unit_test(test_headers_beyond_the_bound_are_refused),
        cmocka_unit_test(test_health_is_checked_and_watched),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
