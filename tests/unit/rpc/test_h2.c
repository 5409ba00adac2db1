/* SPDX-License-Identifier: Apache-2.0 */
/* What only a bare HTTP/2 client sees: that the server resets a finished call with NO_ERROR after
 * its trailers and never instead of them, refuses what is not gRPC, and punishes floods of pings.
 */
#include "base/check.h"
#include "rpc/grpc.h"
#include "rpc/h2.h"
#include "rpc_world.h"

#include <stdlib.h>
#include <string.h>

struct bare {
    struct h2 *h2;
    struct stream *stream;
    volatile uint32_t opened;
    volatile uint32_t over; /* the call */
    volatile uint32_t closed;
    volatile uint32_t pongs;
    uint32_t error_code;
    char http_status[8];
    char grpc_status[8];
    struct reason reason;
};

static void copy_header(struct h2_stream *stream, const char *name, char *text)
{
    const char *value = h2_find_header(stream, name);
    if (value != NULL && strlen(value) < 8) {
        memcpy(text, value, strlen(value) + 1);
    }
}

static void on_headers(struct h2_stream *stream, void *ctx)
{
    struct bare *bare = ctx;
    copy_header(stream, ":status", bare->http_status);
    copy_header(stream, "grpc-status", bare->grpc_status);
}

static void on_data(struct h2_stream *stream, struct slice bytes, void *ctx)
{
    (void)ctx;
    h2_consume(stream, bytes.len);
}

static void on_nothing(struct h2_stream *stream, void *ctx)
{
    (void)stream;
    (void)ctx;
}

static void on_call_close(struct h2_stream *stream, uint32_t error_code, void *ctx)
{
    (void)stream;
    struct bare *bare = ctx;
    bare->error_code = error_code;
    bare->over++;
}

static void on_pong(void *ctx)
{
    ((struct bare *)ctx)->pongs++;
}

static void on_goaway(void *ctx)
{
    (void)ctx;
}

static const struct h2_handlers handlers = {
    .on_headers = on_headers,
    .on_data = on_data,
    .on_end = on_nothing,
    .on_drain = on_nothing,
    .on_close = on_call_close,
    .on_pong = on_pong,
    .on_goaway = on_goaway,
};

static void on_open(struct stream *stream, void *ctx)
{
    struct bare *bare = ctx;
    struct h2_options options = {.header_list_bytes_max = 8192};
    bare->h2 = h2_new(stream, &options, &handlers, bare);
    bare->opened = 1;
}

static void on_read(struct stream *stream, struct slice bytes, void *ctx)
{
    if (h2_receive(((struct bare *)ctx)->h2, bytes) != ERR_OK) {
        stream_close(stream);
    }
}

static void
on_close(struct stream *stream, enum stream_reason reason, const char *detail, void *ctx)
{
    (void)stream;
    (void)reason;
    (void)detail;
    struct bare *bare = ctx;
    memcpy(bare->reason.text, h2_errmsg(bare->h2), strlen(h2_errmsg(bare->h2)) + 1);
    h2_free(bare->h2);
    bare->closed = 1;
}

static const struct stream_handlers stream_handlers = {
    .on_open = on_open,
    .on_read = on_read,
    .on_close = on_close,
};

static void bare_connect(struct rpc_world *world, struct bare *bare)
{
    *bare = (struct bare){0};
    const char *address = rpc_address(server_port(world->server));
    struct stream_options options = {.write_queue_bytes_max = H2_WRITE_QUEUE_BYTES_MAX};
    assert_int_equal(stream_connect(world->fixture.net, address, &options, &bare->stream), ERR_OK);
    stream_set_handlers(bare->stream, &stream_handlers, bare);
    rpc_run_until(&world->fixture, &bare->opened, "open");
}

/* A request without an end, so that only the server can end the call. */
static struct h2_stream *bare_request(struct bare *bare, const char *path, const char *content_type)
{
    const struct h2_header headers[] = {
        {":method", "POST"},
        {":scheme", "http"},
        {":path", path},
        {":authority", "h"},
        {"content-type", content_type},
    };
    struct h2_stream *stream = NULL;
    assert_int_equal(h2_request(bare->h2, headers, ARRAY_LEN(headers), NULL, &stream), ERR_OK);
    return stream;
}

static void bare_stop(struct rpc_world *world, struct bare *bare)
{
    if (bare->closed == 0) {
        stream_close(bare->stream);
        rpc_run_until(&world->fixture, &bare->closed, "the end");
    }
    rpc_world_stop(world);
}

static void test_a_call_ended_early_gets_its_trailers_and_then_a_reset_without_error(void **state)
{
    (void)state;
    struct rpc_world world;
    struct bare bare;
    rpc_world_start(&world);
    bare_connect(&world, &bare);
    struct h2_stream *stream = bare_request(&bare, "/test.Echo/Early", "application/grpc");
    struct slice message = slice_of("\0\0\0\0\1x", 6);
    h2_send(stream, &message, 1);
    rpc_run_until(&world.fixture, &bare.over, "the server's reset");
    assert_string_equal(bare.http_status, "200");
    assert_int_equal(strtol(bare.grpc_status, NULL, 10), GRPC_ABORTED);
    assert_int_equal(bare.error_code, H2_NO_ERROR);
    bare_stop(&world, &bare);
}

static void test_another_content_type_gets_415_and_no_grpc_status(void **state)
{
    (void)state;
    static const char *const types[] = {"application/json", "application/grpcx", "text/html"};
    struct rpc_world world;
    struct bare bare;
    rpc_world_start(&world);
    bare_connect(&world, &bare);
    for (size_t i = 0; i < ARRAY_LEN(types); i++) {
        bare.over = 0;
        (void)bare_request(&bare, "/test.Echo/Unary", types[i]);
        rpc_run_until(&world.fixture, &bare.over, "the refusal");
        assert_string_equal(bare.http_status, "415");
        assert_string_equal(bare.grpc_status, "");
    }
    bare_stop(&world, &bare);
}

static void test_pings_are_answered_and_a_flood_of_them_ends_the_connection(void **state)
{
    (void)state;
    struct rpc_world world;
    struct bare bare;
    rpc_world_start(&world);
    bare_connect(&world, &bare);
    h2_ping(bare.h2);
    rpc_run_until(&world.fixture, &bare.pongs, "the answer");
    for (int i = 0; i < 5; i++) {
        h2_ping(bare.h2);
    }
    rpc_run_until(&world.fixture, &bare.closed, "the end");
    assert_non_null(strstr(bare.reason.text, "too_many_pings"));
    bare_stop(&world, &bare);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_a_call_ended_early_gets_its_trailers_and_then_a_reset_without_error),
        cmocka_unit_test(test_another_content_type_gets_415_and_no_grpc_status),
        cmocka_unit_test(test_pings_are_answered_and_a_flood_of_them_ends_the_connection),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
