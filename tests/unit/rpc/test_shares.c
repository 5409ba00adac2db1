/* SPDX-License-Identifier: Apache-2.0 */
/* Goal: what one class of callers does not read takes no room from another, and what is not read at
 * all is not kept for ever. Method: a server for which operators are clients and members trusted,
 * and channels that are paused. */
#include "base/mem.h"
#include "rpc_world.h"

#include <string.h>

enum {
    LARGE_BYTES = 3 << 20,
    CALLS = 6
};

static enum server_class class_of(const char *identity, void *ctx)
{
    (void)ctx;
    const char *path = tls_identity_path(identity);
    return strncmp(path, "/member/", strlen("/member/")) == 0 ? SERVER_TRUSTED : SERVER_CLIENT;
}

static enum server_class class_of_nobody(const char *identity, void *ctx)
{
    (void)ctx;
    (void)identity;
    return SERVER_NOBODY;
}

/* A call that is sent a large message and does not read it. */
static void ask_and_not_read(struct channel *channel, struct rpc_outcome *outcome, uint8_t *bytes)
{
    struct channel_request request = rpc_request_of("/test.Echo/Chat");
    *outcome = (struct rpc_outcome){0};
    outcome->call = channel_stream(channel, &request, &rpc_stream_handlers, outcome);
    channel_call_pause(outcome->call);
    assert_int_equal(channel_call_send(outcome->call, slice_of(bytes, LARGE_BYTES)), ERR_OK);
}

static void test_what_clients_do_not_read_takes_no_room_of_who_is_trusted(void **state)
{
    (void)state;
    struct rpc_world world;
    struct rpc_outcome slow[CALLS];
    struct server_options options = {.queue_bytes_max = 8 << 20, .class_of = class_of};
    uint8_t *bytes = mem_new(LARGE_BYTES);
    rpc_world_start_with(&world, &options, true);
    struct tls *tls = rpc_tls(rpc_certs(), "n2");
    struct channel_options trusted = {
        .address = rpc_address(server_port(world.server)), .tls = tls, .backoff_min_ms = 10};
    struct channel *channel = NULL;
    assert_int_equal(channel_new(world.fixture.net, &trusted, NULL, NULL, &channel), ERR_OK);
    for (uint32_t i = 0; i < CALLS; i++) {
        ask_and_not_read(world.channel, &slow[i], bytes);
    }
    rpc_run_until(&world.fixture, &world.echo.refused, "a message that finds no room");
    uint32_t refused = world.echo.refused;

    struct rpc_outcome outcome = {0};
    struct channel_request request = rpc_request_of("/test.Echo/Chat");
    struct channel_call *call = channel_stream(channel, &request, &rpc_stream_handlers, &outcome);
    assert_int_equal(channel_call_send(call, slice_of(bytes, LARGE_BYTES)), ERR_OK);
    channel_call_end(call);
    rpc_await(&world, &outcome);
    assert_int_equal(outcome.status, GRPC_OK);
    assert_int_equal(outcome.bytes, LARGE_BYTES);
    assert_true(refused > 0);

    for (uint32_t i = 0; i < CALLS; i++) {
        if (slow[i].call != NULL) {
            channel_call_cancel(slow[i].call);
        }
        buf_deinit(&slow[i].reply);
    }
    buf_deinit(&outcome.reply);
    channel_free(channel);
    tls_free(tls);
    mem_free(bytes);
    rpc_world_stop(&world);
}

static void test_nobody_is_kept_little_for(void **state)
{
    (void)state;
    struct rpc_world world;
    struct rpc_outcome outcome;
    struct server_options options = {.class_of = class_of_nobody};
    uint8_t *bytes = mem_new(LARGE_BYTES);
    rpc_world_start_with(&world, &options, true);
    ask_and_not_read(world.channel, &outcome, bytes);
    rpc_run_until(&world.fixture, &world.echo.refused, "a message that finds no room");
    if (outcome.call != NULL) { /* not told yet */
        channel_call_resume(outcome.call);
    }
    rpc_await(&world, &outcome);
    assert_int_equal(outcome.status, GRPC_RESOURCE_EXHAUSTED);
    buf_deinit(&outcome.reply);
    mem_free(bytes);
    rpc_world_stop(&world);
}

static void test_a_stream_of_which_nothing_is_taken_is_reset_after_a_time(void **state)
{
    (void)state;
    struct rpc_world world;
    struct rpc_outcome outcome;
    struct rpc_outcome quick;
    struct server_options options = {.stall_ms = 1500};
    uint8_t *bytes = mem_new(LARGE_BYTES);
    rpc_world_start_with(&world, &options, false);
    ask_and_not_read(world.channel, &outcome, bytes);
    rpc_run_until(&world.fixture, &outcome.done, "the end of a call that is not read");
    assert_int_equal(outcome.status, GRPC_RESOURCE_EXHAUSTED);
    assert_int_equal(world.echo.cancelled, 1);
    assert_int_equal(server_queued_bytes(world.server), 0);
    /* The connection goes on. */
    rpc_unary(&world, &quick, "/test.Echo/Unary", "x");
    rpc_await(&world, &quick);
    rpc_assert_reply(&quick, "x");
    assert_int_equal(world.backoffs, 0);
    buf_deinit(&outcome.reply);
    mem_free(bytes);
    rpc_world_stop(&world);
}

static void test_a_client_gets_no_more_connections_than_its_share(void **state)
{
    (void)state;
    static struct rpc_peer peers[CALLS];
    struct rpc_world world;
    /* Of eight, three quarters are for clients, five for one. */
    struct server_options options = {.connections_max = 8, .class_of = class_of};
    rpc_world_start_with(&world, &options, true);
    rpc_run_until(&world.fixture, &world.ready, "the first connection");
    for (uint32_t i = 0; i < CALLS; i++) {
        rpc_peer_connect(&world.fixture,
                         &peers[i],
                         server_port(world.server),
                         &(struct stream_options){.tls = world.client_tls, .alpn = "h2"});
        rpc_run_until(&world.fixture,
                      i < 4 ? &peers[i].opened : &peers[i].closed,
                      i < 4 ? "one of its share" : "the end of one beyond it");
    }
    assert_int_equal(server_connections_count(world.server), 5);
    for (uint32_t i = 0; i < CALLS; i++) {
        if (peers[i].closed == 0) {
            stream_close(peers[i].stream);
        }
    }
    rpc_run_until(&world.fixture, &peers[0].closed, "the end");
    for (uint32_t i = 0; i < CALLS; i++) {
        buf_deinit(&peers[i].received);
    }
    rpc_world_stop(&world);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_what_clients_do_not_read_takes_no_room_of_who_is_trusted),
        cmocka_unit_test(test_nobody_is_kept_little_for),
        cmocka_unit_test(test_a_stream_of_which_nothing_is_taken_is_reset_after_a_time),
        cmocka_unit_test(test_a_client_gets_no_more_connections_than_its_share),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
