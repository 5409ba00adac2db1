/* SPDX-License-Identifier: Apache-2.0 */
/* The gRPC server and channel against each other over loopback: every way for a call to go, and to
 * end, exactly once. Stock clients are in tests/interop. */
#include "base/check.h"
#include "base/mem.h"
#include "rpc/channel.h"
#include "rpc/health.h"
#include "rpc/server.h"
#include "rpc_echo.h"
#include "rpc_fixture.h"
#include "tests/support/support_port.h"

#include <stdio.h>
#include <string.h>

struct world {
    struct rpc_fixture fixture;
    struct rpc_echo echo;
    struct server *server;
    struct channel *channel;
    struct tls *server_tls;
    struct tls *client_tls;
    volatile uint32_t ready;
    volatile uint32_t backoffs;
    volatile uint32_t drained;
};

/* What a call has told. */
struct outcome {
    volatile uint32_t done;
    volatile uint32_t messages;
    volatile uint32_t drained;
    uint32_t stop_after; /* cancels the call in the handler of that message */
    struct channel_call *call;
    enum grpc_status status;
    bool not_processed;
    char message[128];
    char reason[32];
    struct buf reply;
    size_t bytes;
};

static void on_state(struct channel *channel,
                     enum channel_state state,
                     enum stream_reason reason,
                     const char *detail,
                     void *ctx)
{
    (void)channel;
    (void)reason;
    (void)detail;
    struct world *world = ctx;
    world->ready = state == CHANNEL_READY;
    world->backoffs += state == CHANNEL_BACKOFF ? 1 : 0;
}

static void on_done(const struct channel_result *result, void *ctx)
{
    struct outcome *outcome = ctx;
    outcome->done++;
    outcome->status = result->status;
    outcome->not_processed = result->not_processed;
    outcome->call = NULL;
    snprintf(outcome->message, sizeof(outcome->message), "%s", result->message);
    buf_append(&outcome->reply, result->reply.data, result->reply.len);
    (void)!grpc_status_details_find(
        result->details, NULL, outcome->reason, sizeof(outcome->reason));
}

static void on_message(struct channel_call *call, struct slice message, void *ctx)
{
    struct outcome *outcome = ctx;
    outcome->messages++;
    outcome->bytes += message.len;
    buf_clear(&outcome->reply);
    buf_append(&outcome->reply, message.data, message.len);
    if (outcome->messages == outcome->stop_after) {
        outcome->call = NULL;
        channel_call_cancel(call);
    }
}

static void on_drain(struct channel_call *call, void *ctx)
{
    (void)call;
    ((struct outcome *)ctx)->drained++;
}

static const struct channel_stream_handlers stream_handlers = {
    .on_message = on_message,
    .on_drain = on_drain,
    .on_done = on_done,
};

static void world_start_with(struct world *world, struct server_options *options, bool with_tls)
{
    *world = (struct world){0};
    rpc_start(&world->fixture);
    rpc_echo_init(&world->echo);
    char errmsg[NET_ERRMSG_SIZE] = "";
    if (with_tls) {
        world->server_tls = rpc_tls(rpc_certs(), "n1");
        world->client_tls = rpc_tls(rpc_certs(), "ops");
    }
    options->address = options->address == NULL ? "127.0.0.1:0" : options->address;
    options->tls = world->server_tls;
    options->tls_role = TLS_SERVER;
    options->methods = world->echo.methods;
    options->methods_count = RPC_ECHO_METHODS;
    if (server_new(world->fixture.net, options, errmsg, &world->server) != ERR_OK) {
        fail_msg("%s", errmsg);
    }
    struct channel_options client = {
        .address = rpc_address(server_port(world->server)),
        .tls = world->client_tls,
        .peer_path_prefix = with_tls ? "/member/" : NULL,
        .backoff_min_ms = 10,
    };
    assert_int_equal(channel_new(world->fixture.net, &client, on_state, world, &world->channel),
                     ERR_OK);
}

static void world_start(struct world *world)
{
    struct server_options options = {0};
    world_start_with(world, &options, false);
}

static void world_stop(struct world *world)
{
    channel_free(world->channel);
    server_free(world->server);
    rpc_stop(&world->fixture);
    tls_free(world->server_tls);
    tls_free(world->client_tls);
}

static struct channel_request request_of(const char *path)
{
    return (struct channel_request){.path = path, .timeout_ms = 8000};
}

static void await(struct world *world, struct outcome *outcome)
{
    rpc_run_until(&world->fixture, &outcome->done, "the end of a call");
    assert_int_equal(outcome->done, 1);
}

static void unary(struct world *world, struct outcome *outcome, const char *path, const char *text)
{
    struct channel_request request = request_of(path);
    *outcome = (struct outcome){0};
    outcome->call =
        channel_unary(world->channel, &request, slice_of_string(text), on_done, outcome);
    assert_int_equal(outcome->done, 0); /* never from inside */
}

static void assert_reply(struct outcome *outcome, const char *text)
{
    assert_int_equal(outcome->status, GRPC_OK);
    assert_true(slice_equal(buf_view(&outcome->reply), slice_of_string(text)));
    buf_deinit(&outcome->reply);
}

static void test_a_unary_call_begun_before_the_connection_is_ready_is_answered(void **state)
{
    (void)state;
    struct world world;
    struct outcome outcome;
    world_start(&world);
    unary(&world, &outcome, "/test.Echo/Unary", "hello");
    await(&world, &outcome);
    assert_reply(&outcome, "hello");
    assert_int_equal(server_calls_count(world.server), 0);
    world_stop(&world);
}

static void test_an_empty_message_is_a_message(void **state)
{
    (void)state;
    struct world world;
    struct outcome outcome;
    world_start(&world);
    unary(&world, &outcome, "/test.Echo/Unary", "");
    await(&world, &outcome);
    assert_reply(&outcome, "");
    world_stop(&world);
}

static void test_over_mutual_tls_the_handler_knows_the_caller(void **state)
{
    (void)state;
    struct world world;
    struct outcome outcome = {0};
    struct server_options options = {0};
    world_start_with(&world, &options, true);
    static const struct channel_metadata metadata[] = {
        {"x-test", "v"}
    };
    struct channel_request request = request_of("/test.Echo/Peer");
    request.metadata = metadata;
    request.metadata_count = 1;
    (void)channel_unary(world.channel, &request, slice_of(NULL, 0), on_done, &outcome);
    await(&world, &outcome);
    assert_reply(&outcome, "spiffe://indaba.test/operator/anna v");
    assert_string_equal(channel_peer(world.channel), "spiffe://indaba.test/member/n1");
    world_stop(&world);
}

static void test_status_message_details_and_trailers_arrive(void **state)
{
    (void)state;
    struct world world;
    struct outcome outcome;
    world_start(&world);
    unary(&world, &outcome, "/test.Echo/Fail", "x");
    await(&world, &outcome);
    assert_int_equal(outcome.status, GRPC_FAILED_PRECONDITION);
    assert_string_equal(outcome.message, "é frozen 100%\n");
    assert_string_equal(outcome.reason, "FROZEN");
    assert_false(outcome.not_processed);
    world_stop(&world);
}

static void test_an_unknown_method_is_unimplemented(void **state)
{
    (void)state;
    struct world world;
    struct outcome outcome;
    world_start(&world);
    unary(&world, &outcome, "/test.Echo/Nothing", "x");
    await(&world, &outcome);
    assert_int_equal(outcome.status, GRPC_UNIMPLEMENTED);
    assert_non_null(strstr(outcome.message, "/test.Echo/Nothing"));
    world_stop(&world);
}

static void test_many_calls_share_one_connection(void **state)
{
    (void)state;
    struct world world;

    enum {
        COUNT = 500
    };
    struct outcome *outcomes = mem_new_array(COUNT, sizeof(*outcomes));
    char texts[COUNT][16];
    world_start(&world);
    for (size_t i = 0; i < COUNT; i++) {
        snprintf(texts[i], sizeof(texts[i]), "call %zu", i);
        unary(&world, &outcomes[i], "/test.Echo/Unary", texts[i]);
    }
    for (size_t i = 0; i < COUNT; i++) {
        await(&world, &outcomes[i]);
        assert_reply(&outcomes[i], texts[i]);
    }
    assert_int_equal(server_connections_count(world.server), 1);
    mem_free(outcomes);
    world_stop(&world);
}

static void test_a_large_message_passes_the_windows_and_one_too_large_is_refused(void **state)
{
    (void)state;
    struct world world;

    enum {
        LARGE = GRPC_MESSAGE_BYTES_MAX
    };

    uint8_t *bytes = mem_new(LARGE + 1);
    world_start(&world);
    struct channel_request request = request_of("/test.Echo/Unary");
    for (size_t excess = 0; excess <= 1; excess++) {
        struct outcome outcome = {0};
        (void)channel_unary(
            world.channel, &request, slice_of(bytes, LARGE + excess), on_done, &outcome);
        await(&world, &outcome);
        assert_int_equal(outcome.status, excess == 0 ? GRPC_OK : GRPC_RESOURCE_EXHAUSTED);
        assert_int_equal(outcome.reply.len, excess == 0 ? LARGE : 0);
        buf_deinit(&outcome.reply);
    }
    /* The connection survives, with all of its credit. */
    for (int i = 0; i < 12; i++) {
        struct outcome outcome = {0};
        (void)channel_unary(world.channel, &request, slice_of(bytes, LARGE), on_done, &outcome);
        await(&world, &outcome);
        assert_int_equal(outcome.status, GRPC_OK);
        buf_deinit(&outcome.reply);
    }
    assert_int_equal(world.backoffs, 0);
    mem_free(bytes);
    world_stop(&world);
}

static void test_the_client_deadline_ends_a_silent_call_and_the_server_hears_of_it(void **state)
{
    (void)state;
    struct world world;
    struct outcome outcome = {0};
    world_start(&world);
    struct channel_request request = {.path = "/test.Echo/Silent", .timeout_ms = 100};
    (void)channel_unary(world.channel, &request, slice_of("x", 1), on_done, &outcome);
    await(&world, &outcome);
    assert_int_equal(outcome.status, GRPC_DEADLINE_EXCEEDED);
    assert_false(outcome.not_processed);
    rpc_run_until(&world.fixture, &world.echo.cancelled, "the cancellation");
    assert_int_equal(world.echo.cancelled, 1);
    assert_int_equal(server_calls_count(world.server), 0);
    world_stop(&world);
}

static void test_a_cancelled_call_tells_the_server_and_not_its_owner(void **state)
{
    (void)state;
    struct world world;
    struct outcome outcome;
    world_start(&world);
    unary(&world, &outcome, "/test.Echo/Silent", "x");
    rpc_run_until(&world.fixture, &world.echo.silent_started, "the start");
    channel_call_cancel(outcome.call);
    rpc_run_until(&world.fixture, &world.echo.cancelled, "the cancellation");
    assert_int_equal(outcome.done, 0);
    world_stop(&world);
}

static void test_a_call_cancelled_before_it_was_sent_never_arrives(void **state)
{
    (void)state;
    struct world world;
    struct outcome outcome;
    struct outcome second;
    world_start(&world);
    unary(&world, &outcome, "/test.Echo/Silent", "x");
    channel_call_cancel(outcome.call);
    unary(&world, &second, "/test.Echo/Unary", "x");
    await(&world, &second);
    assert_reply(&second, "x");
    assert_int_equal(world.echo.silent_started, 0);
    assert_int_equal(outcome.done, 0);
    world_stop(&world);
}

static void test_a_server_stream_delivers_every_message_in_order(void **state)
{
    (void)state;
    struct world world;
    struct outcome outcome = {0};
    world_start(&world);
    struct channel_request request = request_of("/test.Echo/Count");
    struct channel_call *call = channel_stream(world.channel, &request, &stream_handlers, &outcome);
    assert_int_equal(channel_call_send(call, slice_of_string("50000")), ERR_OK);
    channel_call_end(call);
    await(&world, &outcome);
    assert_int_equal(outcome.status, GRPC_OK);
    assert_int_equal(outcome.messages, 50000);
    assert_memory_equal(outcome.reply.data, "message 49999 ", 14);
    assert_true(world.echo.drains > 1);
    buf_deinit(&outcome.reply);
    world_stop(&world);
}

static void test_a_slow_reader_stops_its_producer_and_nobody_else(void **state)
{
    (void)state;
    struct world world;
    struct outcome slow = {0};
    struct outcome quick;
    world_start(&world);
    struct channel_request request = request_of("/test.Echo/Count");
    struct channel_call *call = channel_stream(world.channel, &request, &stream_handlers, &slow);
    channel_call_pause(call);
    assert_int_equal(channel_call_send(call, slice_of_string("100000")), ERR_OK);
    channel_call_end(call);
    /* When is a producer stuck? When others are served and it does not move. */
    uint32_t sent = 1;
    while (sent != world.echo.sent) {
        sent = world.echo.sent;
        unary(&world, &quick, "/test.Echo/Unary", "x");
        await(&world, &quick);
        assert_reply(&quick, "x");
        rpc_run_for(&world.fixture, 20);
    }
    assert_true(sent > 1000 && sent < 60000);
    assert_int_equal(slow.messages, 0);
    channel_call_resume(call);
    await(&world, &slow);
    assert_int_equal(slow.messages, 100000);
    assert_int_equal(slow.status, GRPC_OK);
    buf_deinit(&slow.reply);
    world_stop(&world);
}

static void test_a_bidirectional_call_echoes_until_the_client_ends(void **state)
{
    (void)state;
    struct world world;
    struct outcome outcome = {0};
    world_start(&world);
    struct channel_request request = {.path = "/test.Echo/Chat"};
    struct channel_call *call = channel_stream(world.channel, &request, &stream_handlers, &outcome);
    for (int i = 0; i < 100; i++) {
        assert_int_equal(channel_call_send(call, slice_of_string("ping")), ERR_OK);
    }
    rpc_run_until(&world.fixture, &outcome.drained, "the queue to drain");
    channel_call_end(call);
    assert_int_equal(channel_call_send(call, slice_of_string("late")), ERR_CLOSED);
    await(&world, &outcome);
    assert_int_equal(outcome.status, GRPC_OK);
    assert_int_equal(outcome.messages, 100);
    buf_deinit(&outcome.reply);
    world_stop(&world);
}

static void test_a_paused_server_call_takes_one_message_at_a_time(void **state)
{
    (void)state;
    struct world world;
    struct outcome outcome = {0};
    world_start(&world);
    world.echo.pause_each = 1;
    struct channel_request request = request_of("/test.Echo/Chat");
    struct channel_call *call = channel_stream(world.channel, &request, &stream_handlers, &outcome);
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
    await(&world, &outcome);
    assert_int_equal(outcome.status, GRPC_OK);
    assert_int_equal(outcome.bytes, 20 * sizeof(bytes));
    buf_deinit(&outcome.reply);
    world_stop(&world);
}

static void test_a_server_may_end_a_call_before_the_client_does(void **state)
{
    (void)state;
    struct world world;
    struct outcome outcome = {0};
    world_start(&world);
    struct channel_request request = request_of("/test.Echo/Early");
    struct channel_call *call = channel_stream(world.channel, &request, &stream_handlers, &outcome);
    assert_int_equal(channel_call_send(call, slice_of_string("x")), ERR_OK);
    await(&world, &outcome);
    assert_int_equal(outcome.status, GRPC_ABORTED);
    assert_string_equal(outcome.message, "enough");
    world_stop(&world);
}

static void test_a_client_may_cancel_inside_its_message_handler(void **state)
{
    (void)state;
    struct world world;
    struct outcome outcome = {.stop_after = 3};
    world_start(&world);
    struct channel_request request = request_of("/test.Echo/Count");
    struct channel_call *call = channel_stream(world.channel, &request, &stream_handlers, &outcome);
    assert_int_equal(channel_call_send(call, slice_of_string("1000000")), ERR_OK);
    channel_call_end(call);
    rpc_run_until(&world.fixture, &world.echo.cancelled, "the cancellation");
    assert_int_equal(outcome.messages, 3);
    assert_int_equal(outcome.done, 0);
    buf_deinit(&outcome.reply);
    world_stop(&world);
}

static void test_without_a_server_a_call_fails_at_once_as_not_processed(void **state)
{
    (void)state;
    struct world world;
    struct outcome outcome;
    world_start(&world);
    channel_free(world.channel);
    struct channel_options options = {.address = rpc_address(support_free_port())};
    assert_int_equal(channel_new(world.fixture.net, &options, on_state, &world, &world.channel),
                     ERR_OK);
    unary(&world, &outcome, "/test.Echo/Unary", "x");
    await(&world, &outcome);
    assert_int_equal(outcome.status, GRPC_UNAVAILABLE);
    assert_true(outcome.not_processed);
    assert_int_equal(channel_last_reason(world.channel), STREAM_REFUSED);
    assert_non_null(strstr(outcome.message, "refused"));
    /* Again, now in backoff. */
    unary(&world, &outcome, "/test.Echo/Unary", "x");
    await(&world, &outcome);
    assert_int_equal(outcome.status, GRPC_UNAVAILABLE);
    world_stop(&world);
}

static void test_a_lost_connection_ends_calls_as_unknown_and_the_channel_comes_back(void **state)
{
    (void)state;
    struct world world;
    struct outcome lost;
    struct outcome waiting = {0};
    world_start(&world);
    unary(&world, &lost, "/test.Echo/Silent", "x");
    rpc_run_until(&world.fixture, &world.echo.silent_started, "the start");
    channel_reset(world.channel);
    await(&world, &lost);
    assert_int_equal(lost.status, GRPC_UNAVAILABLE);
    assert_false(lost.not_processed);
    struct channel_request request = request_of("/test.Echo/Unary");
    request.wait_for_ready = true;
    (void)channel_unary(world.channel, &request, slice_of("y", 1), on_done, &waiting);
    await(&world, &waiting);
    assert_reply(&waiting, "y");
    world_stop(&world);
}

static void test_too_many_calls_are_refused(void **state)
{
    (void)state;
    struct world world;
    struct outcome first;
    struct outcome second;
    world_start(&world);
    uint16_t port = server_port(world.server);
    channel_free(world.channel);
    struct channel_options options = {.address = rpc_address(port), .calls_max = 1};
    assert_int_equal(channel_new(world.fixture.net, &options, NULL, NULL, &world.channel), ERR_OK);
    unary(&world, &first, "/test.Echo/Silent", "x");
    unary(&world, &second, "/test.Echo/Unary", "x");
    await(&world, &second);
    assert_int_equal(second.status, GRPC_RESOURCE_EXHAUSTED);
    assert_int_equal(first.done, 0);
    channel_call_cancel(first.call);
    world_stop(&world);
}

static void test_freeing_a_channel_ends_its_calls(void **state)
{
    (void)state;
    struct world world;
    struct outcome outcome;
    world_start(&world);
    unary(&world, &outcome, "/test.Echo/Silent", "x");
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
    ((struct world *)ctx)->drained = 1;
}

static void test_a_drain_lets_calls_finish_and_refuses_new_connections(void **state)
{
    (void)state;
    struct world world;
    struct outcome chat = {0};
    struct outcome late;
    world_start(&world);
    struct channel_request request = {.path = "/test.Echo/Chat"};
    struct channel_call *call = channel_stream(world.channel, &request, &stream_handlers, &chat);
    assert_int_equal(channel_call_send(call, slice_of_string("one")), ERR_OK);
    rpc_run_until(&world.fixture, &chat.messages, "the first echo");

    server_drain(world.server, 5000, on_drained, &world);
    rpc_run_for(&world.fixture, 200);
    assert_int_equal(world.drained, 0);
    assert_int_equal(channel_call_send(call, slice_of_string("two")), ERR_OK);
    channel_call_end(call);
    await(&world, &chat);
    assert_int_equal(chat.status, GRPC_OK);
    assert_int_equal(chat.messages, 2);
    rpc_run_until(&world.fixture, &world.drained, "the end of the drain");
    unary(&world, &late, "/test.Echo/Unary", "x");
    await(&world, &late);
    assert_int_equal(late.status, GRPC_UNAVAILABLE);
    assert_true(late.not_processed);
    buf_deinit(&chat.reply);
    world_stop(&world);
}

static void test_a_drain_cancels_what_is_left_after_its_grace(void **state)
{
    (void)state;
    struct world world;
    struct outcome outcome;
    world_start(&world);
    unary(&world, &outcome, "/test.Echo/Silent", "x");
    rpc_run_until(&world.fixture, &world.echo.silent_started, "the start");
    server_drain(world.server, 50, on_drained, &world);
    await(&world, &outcome);
    assert_int_equal(outcome.status, GRPC_UNAVAILABLE);
    rpc_run_until(&world.fixture, &world.drained, "the end of the drain");
    assert_int_equal(world.echo.cancelled, 1);
    world_stop(&world);
}

static void test_an_aged_connection_is_replaced_without_a_failed_call(void **state)
{
    (void)state;
    struct world world;
    struct server_options options = {.connection_age_max_ms = 500};
    world_start_with(&world, &options, false);
    while (world.backoffs == 0) {
        struct outcome outcome = {0};
        struct channel_request request = request_of("/test.Echo/Unary");
        request.wait_for_ready = true;
        (void)channel_unary(world.channel, &request, slice_of("x", 1), on_done, &outcome);
        await(&world, &outcome);
        assert_reply(&outcome, "x");
    }
    world_stop(&world);
}

static void test_garbage_ends_the_connection_and_not_the_server(void **state)
{
    (void)state;
    struct world world;
    struct rpc_peer peer;
    struct outcome outcome;
    world_start(&world);
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
    unary(&world, &outcome, "/test.Echo/Unary", "x");
    await(&world, &outcome);
    assert_reply(&outcome, "x");
    world_stop(&world);
}

static void test_headers_beyond_the_bound_are_refused(void **state)
{
    (void)state;
    struct world world;
    struct outcome outcome = {0};
    world_start(&world);
    char *value = mem_new(9001);
    memset(value, 'a', 9000);
    struct channel_metadata metadata[] = {
        {"x-large", value}
    };
    struct channel_request request = request_of("/test.Echo/Unary");
    request.metadata = metadata;
    request.metadata_count = 1;
    (void)channel_unary(world.channel, &request, slice_of("x", 1), on_done, &outcome);
    await(&world, &outcome);
    assert_int_equal(outcome.status, GRPC_RESOURCE_EXHAUSTED);
    mem_free(value);
    world_stop(&world);
}

static void test_health_is_checked_and_watched(void **state)
{
    (void)state;
    struct world world;
    struct outcome check;
    struct outcome watch = {0};
    world_start(&world);
    struct health *health = health_new(world.server);
    health_set(health, "leader", true);
    unary(&world, &check, "/grpc.health.v1.Health/Check", "\x0a\x06leader");
    await(&world, &check);
    assert_reply(&check, "\x08\x01");
    unary(&world, &check, "/grpc.health.v1.Health/Check", "");
    await(&world, &check);
    assert_reply(&check, "\x08\x02");
    unary(&world, &check, "/grpc.health.v1.Health/Check", "\x0a\x01?");
    await(&world, &check);
    assert_int_equal(check.status, GRPC_NOT_FOUND);

    struct channel_request request = request_of("/grpc.health.v1.Health/Watch");
    struct channel_call *call = channel_stream(world.channel, &request, &stream_handlers, &watch);
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
    world_stop(&world);
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
        cmocka_unit_test(test_the_client_deadline_ends_a_silent_call_and_the_server_hears_of_it),
        cmocka_unit_test(test_a_cancelled_call_tells_the_server_and_not_its_owner),
        cmocka_unit_test(test_a_call_cancelled_before_it_was_sent_never_arrives),
        cmocka_unit_test(test_a_server_stream_delivers_every_message_in_order),
        cmocka_unit_test(test_a_slow_reader_stops_its_producer_and_nobody_else),
        cmocka_unit_test(test_a_bidirectional_call_echoes_until_the_client_ends),
        cmocka_unit_test(test_a_paused_server_call_takes_one_message_at_a_time),
        cmocka_unit_test(test_a_server_may_end_a_call_before_the_client_does),
        cmocka_unit_test(test_a_client_may_cancel_inside_its_message_handler),
        cmocka_unit_test(test_without_a_server_a_call_fails_at_once_as_not_processed),
        cmocka_unit_test(test_a_lost_connection_ends_calls_as_unknown_and_the_channel_comes_back),
        cmocka_unit_test(test_too_many_calls_are_refused),
        cmocka_unit_test(test_freeing_a_channel_ends_its_calls),
        cmocka_unit_test(test_a_drain_lets_calls_finish_and_refuses_new_connections),
        cmocka_unit_test(test_a_drain_cancels_what_is_left_after_its_grace),
        cmocka_unit_test(test_an_aged_connection_is_replaced_without_a_failed_call),
        cmocka_unit_test(test_garbage_ends_the_connection_and_not_the_server),
        cmocka_unit_test(test_headers_beyond_the_bound_are_refused),
        cmocka_unit_test(test_health_is_checked_and_watched),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
