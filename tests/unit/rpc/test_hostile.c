/* SPDX-License-Identifier: Apache-2.0 */
/* Hostile bytes at the gRPC and HTTP/1.1 servers: random frames behind a valid preface, and valid
 * requests with random damage. Whatever comes, the server lives, frees what it made, and serves the
 * next client. SEED=n repeats a run. */
#include "base/check.h"
#include "base/prng.h"
#include "rpc/http1.h"
#include "rpc_world.h"
#include "tests/support/support_seed.h"

#include <string.h>

enum {
    ROUNDS = 150
};

static const char preface[] = "PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n";

/* POST /test.Echo/Chat as literal headers without Huffman coding. */
static const char headers[] = "\x83\x86\x44\x0f/test.Echo/Chat"
                              "\x41\x01h\x40\x02te\x08trailers"
                              "\x5f\x10"
                              "application/grpc";

static void
put_frame(struct buf *out, uint8_t type, uint8_t flags, uint32_t stream, struct slice payload)
{
    uint8_t head[9] = {
        (uint8_t)(payload.len >> 16),
        (uint8_t)(payload.len >> 8),
        (uint8_t)payload.len,
        type,
        flags,
        (uint8_t)(stream >> 24),
        (uint8_t)(stream >> 16),
        (uint8_t)(stream >> 8),
        (uint8_t)stream,
    };
    buf_append(out, head, sizeof(head));
    buf_append(out, payload.data, payload.len);
}

static void put_random_frame(struct prng *prng, struct buf *out)
{
    uint8_t payload[600];
    uint64_t len =
        prng_chance(prng, 300) ? prng_below(prng, sizeof(payload)) : prng_below(prng, 20);
    for (uint64_t i = 0; i < len; i++) {
        payload[i] =
            prng_chance(prng, 500) ? (uint8_t)prng_below(prng, 4) : (uint8_t)prng_next(prng);
    }
    uint32_t stream = (uint32_t)(1 + 2 * prng_below(prng, 6));
    stream = prng_chance(prng, 150) ? (uint32_t)prng_below(prng, 12) : stream;
    uint8_t flags =
        prng_chance(prng, 300) ? (uint8_t)prng_next(prng) : (uint8_t)prng_below(prng, 2);
    if (prng_chance(prng, 400)) {
        uint8_t end = prng_chance(prng, 300) ? 5 : 4;
        put_frame(out, 1, end, stream, slice_of(headers, sizeof(headers) - 1));
    } else if (prng_chance(prng, 500)) {
        put_frame(out, 0, flags & 1, stream, slice_of("\0\0\0\0\3abc", 8));
    } else {
        put_frame(
            out, (uint8_t)prng_below(prng, 11), flags, stream, slice_of(payload, (size_t)len));
    }
}

static void damage(struct prng *prng, struct buf *bytes)
{
    uint64_t hits = prng_below(prng, 4);
    for (uint64_t i = 0; i < hits && bytes->len > 0; i++) {
        bytes->data[prng_below(prng, bytes->len)] = (uint8_t)prng_next(prng);
    }
}

/* Sends in random pieces, then leaves; the server may have closed before. */
static void
throw_at(struct rpc_fixture *fixture, struct prng *prng, uint16_t port, const struct buf *bytes)
{
    struct rpc_peer peer;
    rpc_peer_connect(fixture, &peer, port, &(struct stream_options){0});
    rpc_run_until(fixture, &peer.opened, "open");
    size_t sent = 0;
    while (sent < bytes->len && peer.stream != NULL) {
        size_t len = (size_t)prng_between(prng, 1, bytes->len - sent);
        if (stream_write(peer.stream, slice_of(bytes->data + sent, len)) != ERR_OK) {
            break;
        }
        sent += len;
        rpc_run_for(fixture, 0);
    }
    rpc_run_for(fixture, 1);
    if (peer.stream != NULL) {
        stream_close(peer.stream);
        rpc_run_until(fixture, &peer.closed, "our own close");
    }
    buf_deinit(&peer.received);
}

static void test_random_frames_do_no_harm_to_the_grpc_server(void **state)
{
    (void)state;
    struct rpc_world world;
    struct rpc_outcome outcome;
    struct prng prng;
    prng_init(&prng, support_seed());
    rpc_world_start(&world);
    for (int round = 0; round < ROUNDS; round++) {
        struct buf bytes = {0};
        buf_append_string(&bytes, preface);
        put_frame(&bytes, 4, 0, 0, slice_of(NULL, 0));
        uint64_t frames = prng_between(&prng, 1, 40);
        for (uint64_t i = 0; i < frames; i++) {
            put_random_frame(&prng, &bytes);
        }
        if (prng_chance(&prng, 300)) {
            damage(&prng, &bytes);
        }
        throw_at(&world.fixture, &prng, server_port(world.server), &bytes);
        buf_deinit(&bytes);
    }
    rpc_unary(&world, &outcome, "/test.Echo/Unary", "still here");
    rpc_await(&world, &outcome);
    rpc_assert_reply(&outcome, "still here");
    assert_true(world.echo.cancelled > 0); /* some of it were calls */
    rpc_world_stop(&world);
}

static void
on_request(struct http1_exchange *exchange, const struct http1_request *request, void *ctx)
{
    (void)request;
    (*(uint32_t *)ctx)++;
    http1_reply(exchange, &(struct http1_response){.status = 200, .body = slice_of_string("ok")});
}

static void test_damaged_requests_do_no_harm_to_the_http_server(void **state)
{
    (void)state;
    static const char *const requests[] = {
        "GET /primary?lag=10 HTTP/1.1\r\nHost: h\r\nAccept: */*\r\n\r\n",
        "POST /x HTTP/1.1\r\nHost: h\r\nContent-Length: 11\r\n\r\nhello world",
        "POST /x HTTP/1.1\r\nHost: h\r\nTransfer-Encoding: chunked\r\n\r\n5\r\nhello\r\n0\r\n\r\n",
        "HEAD /%41/b HTTP/1.0\r\n\r\n",
    };
    struct rpc_fixture fixture;
    struct http1 *http1 = NULL;
    struct prng prng;
    uint32_t handled = 0;
    struct reason reason = {0};
    prng_init(&prng, support_seed());
    rpc_start(&fixture);
    struct http1_options options = {
        .address = "127.0.0.1:0",
        .handler = on_request,
        .ctx = &handled,
    };
    assert_int_equal(http1_new(fixture.net, &options, &reason, &http1), ERR_OK);
    for (int round = 0; round < ROUNDS; round++) {
        struct buf bytes = {0};
        uint64_t count = prng_between(&prng, 1, 5);
        for (uint64_t i = 0; i < count; i++) {
            buf_append_string(&bytes, requests[prng_below(&prng, ARRAY_LEN(requests))]);
        }
        damage(&prng, &bytes);
        throw_at(&fixture, &prng, http1_port(http1), &bytes);
        buf_deinit(&bytes);
    }
    assert_true(handled > ROUNDS / 4);
    http1_free(http1);
    rpc_stop(&fixture);
}

/* Behind preface and settings: a request for Chat, its headers with `more` behind them. */
static void put_request(struct buf *out, uint32_t stream, struct slice more)
{
    struct buf block = {0};
    buf_append(&block, headers, sizeof(headers) - 1);
    buf_append(&block, more.data, more.len);
    put_frame(out, 1, 4, stream, buf_view(&block));
    buf_deinit(&block);
}

static void put_beginning(struct buf *out)
{
    buf_append_string(out, preface);
    put_frame(out, 4, 0, 0, slice_of(NULL, 0));
}

static void test_headers_that_stand_for_far_more_than_they_take_end_the_connection(void **state)
{
    (void)state;

    enum {
        VALUE_BYTES = 3900,
        NAMED_AGAIN = 8000
    };

    struct rpc_world world;
    struct rpc_peer peer;
    rpc_world_start(&world);
    rpc_peer_connect(&world.fixture, &peer, server_port(world.server), &(struct stream_options){0});
    rpc_run_until(&world.fixture, &peer.opened, "open");
    struct buf bytes = {0};
    struct buf entry = {0};
    put_beginning(&bytes);
    /* Into HPACK's table; from then on a byte stands for it. */
    buf_append(&entry, "\x40\x01x\x7f\xbd\x1d", 6);
    for (int i = 0; i < VALUE_BYTES; i++) {
        buf_put_u8(&entry, 'v');
    }
    for (int i = 0; i < NAMED_AGAIN; i++) {
        buf_put_u8(&entry, 0xbe);
    }
    put_request(&bytes, 1, buf_view(&entry));
    assert_int_equal(stream_write(peer.stream, buf_view(&bytes)), ERR_OK);
    rpc_run_until(&world.fixture, &peer.closed, "the end of the connection");
    assert_int_equal(server_calls_count(world.server), 0);
    buf_deinit(&entry);
    buf_deinit(&bytes);
    buf_deinit(&peer.received);
    rpc_world_stop(&world);
}

static void test_a_message_that_does_not_become_whole_ends_its_call(void **state)
{
    (void)state;
    struct rpc_world world;
    struct rpc_peer peer;
    struct server_options options = {.stall_ms = 100};
    rpc_world_start_with(&world, &options, false);
    rpc_peer_connect(&world.fixture, &peer, server_port(world.server), &(struct stream_options){0});
    rpc_run_until(&world.fixture, &peer.opened, "open");
    struct buf bytes = {0};
    put_beginning(&bytes);
    put_request(&bytes, 1, slice_of(NULL, 0));
    put_frame(&bytes, 0, 0, 1, slice_of("\0\0\0\0\3ab", 7));
    assert_int_equal(stream_write(peer.stream, buf_view(&bytes)), ERR_OK);
    rpc_run_until(&world.fixture, &world.echo.cancelled, "the end of the call");
    assert_int_equal(server_calls_count(world.server), 0);
    assert_int_equal(peer.closed, 0);
    stream_close(peer.stream);
    rpc_run_until(&world.fixture, &peer.closed, "our own close");
    buf_deinit(&bytes);
    buf_deinit(&peer.received);
    rpc_world_stop(&world);
}

static void test_requests_that_are_not_whole_have_a_bound(void **state)
{
    (void)state;

    enum {
        STREAMS = 4,
        PART_BYTES = 200 * 1024,
        FRAME_BYTES = 16 * 1024
    };

    struct rpc_world world;
    struct rpc_peer peer;
    struct server_options options = {.intake_bytes_max = 1024 * 1024};
    rpc_world_start_with(&world, &options, false);
    rpc_peer_connect(&world.fixture, &peer, server_port(world.server), &(struct stream_options){0});
    rpc_run_until(&world.fixture, &peer.opened, "open");
    struct buf bytes = {0};
    static const uint8_t part[FRAME_BYTES] = {0};
    put_beginning(&bytes);
    for (uint32_t i = 0; i < STREAMS; i++) {
        put_request(&bytes, 1 + 2 * i, slice_of(NULL, 0));
        put_frame(&bytes, 0, 0, 1 + 2 * i, slice_of("\0\0\x10\0\0", 5));
        for (uint32_t sent = 0; sent < PART_BYTES; sent += FRAME_BYTES) {
            put_frame(&bytes, 0, 0, 1 + 2 * i, slice_of(part, sizeof(part)));
        }
    }
    assert_int_equal(stream_write(peer.stream, buf_view(&bytes)), ERR_OK);
    /* Half a MiB for one identity: two of them, and not the third and the fourth. */
    rpc_run_until(&world.fixture, &world.echo.cancelled, "the end of one that finds no room");
    while (world.echo.cancelled < 2) {
        rpc_run_for(&world.fixture, 1);
    }
    assert_int_equal(server_calls_count(world.server), 2);
    stream_close(peer.stream);
    rpc_run_until(&world.fixture, &peer.closed, "our own close");
    buf_deinit(&bytes);
    buf_deinit(&peer.received);
    rpc_world_stop(&world);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_headers_that_stand_for_far_more_than_they_take_end_the_connection),
        cmocka_unit_test(test_a_message_that_does_not_become_whole_ends_its_call),
        cmocka_unit_test(test_requests_that_are_not_whole_have_a_bound),
        cmocka_unit_test(test_random_frames_do_no_harm_to_the_grpc_server),
        cmocka_unit_test(test_damaged_requests_do_no_harm_to_the_http_server),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
