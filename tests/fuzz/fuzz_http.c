/* SPDX-License-Identifier: Apache-2.0 */
/* Any bytes sent to our servers as one connection: the gRPC server if the first byte is even (with
 * the preface and settings already said if it is divisible by four, so that the fuzzer need not
 * find them), else the HTTP/1.1 server. Whatever comes, the connection ends soon after the client
 * has said its last, no call is left over, and the servers serve on. */
#include "base/check.h"
#include "base/log.h"
#include "rpc/http1.h"
#include "rpc/server.h"

#include <arpa/inet.h>
#include <errno.h>
#include <poll.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <unistd.h>
#include <uv.h>

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

enum {
    INPUT_MAX = 64 * 1024,
    TURNS_MAX = 2000,
    MESSAGE_BYTES_MAX = 4096
};

static const char PREFACE[] = "PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n\0\0\0\4\0\0\0\0";

static struct {
    uv_loop_t loop;
    struct net *net;
    struct server *server;
    struct http1 *http1;
} world;

static void on_unary(struct server_call *call, struct slice message, void *ctx)
{
    (void)ctx;
    CHECK(message.len <= MESSAGE_BYTES_MAX);
    server_call_reply(call, message);
}

static void on_bidi(struct server_call *call, struct slice message, void *ctx)
{
    (void)ctx;
    CHECK(message.len <= MESSAGE_BYTES_MAX);
    (void)server_call_metadata(call, "some-name");
    if (server_call_send(call, message) != ERR_OK) {
        server_call_fail(call, ERR_EXHAUSTED, "too much");
    }
}

static const struct server_method METHODS[] = {
    {.path = "/f/U", .kind = SERVER_UNARY, .on_message = on_unary},
    {.path = "/f/S", .kind = SERVER_STREAM, .on_message = on_unary},
    {.path = "/f/B", .kind = SERVER_BIDI, .on_message = on_bidi},
};

static void
on_request(struct http1_exchange *exchange, const struct http1_request *request, void *ctx)
{
    (void)ctx;
    CHECK(request->path[0] == '/' && strstr(request->path, "/../") == NULL);
    char value[16];
    (void)http1_query_value(request->query, "lag", value, sizeof(value));
    const struct http1_response response = {.status = 200, .body = request->body};
    http1_reply(exchange, &response);
}

static void start(void)
{
    struct reason reason = {0};
    log_set_level(LOG_ERROR);
    CHECK(uv_loop_init(&world.loop) == 0);
    world.net = net_new(&world.loop);
    const struct server_options options = {
        .address = "127.0.0.1:0",
        .methods = METHODS,
        .methods_count = sizeof(METHODS) / sizeof(METHODS[0]),
        .message_bytes_max = MESSAGE_BYTES_MAX,
    };
    CHECK(server_new(world.net, &options, &reason, &world.server) == ERR_OK);
    const struct http1_options http1 = {.address = "127.0.0.1:0", .handler = on_request};
    CHECK(http1_new(world.net, &http1, &reason, &world.http1) == ERR_OK);
}

static int dial(uint16_t port)
{
    int client = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0);
    CHECK(client >= 0);
    const struct sockaddr_in address = {
        .sin_family = AF_INET,
        .sin_port = htons(port),
        .sin_addr = {.s_addr = htonl(INADDR_LOOPBACK)},
    };
    /* A port of a connection that the server ended first rests for a minute; there are more
     * addresses than ports. */
    static uint32_t dialled;
    dialled = (dialled + 1) % 0xfffe;
    const struct sockaddr_in own = {
        .sin_family = AF_INET,
        .sin_addr = {.s_addr = htonl(INADDR_LOOPBACK + 0x10000 + dialled)},
    };
    const int later = 1; /* the port is chosen by connect, which knows both ends */
    CHECK(setsockopt(client, IPPROTO_IP, IP_BIND_ADDRESS_NO_PORT, &later, sizeof(later)) == 0);
    CHECK(bind(client, (const struct sockaddr *)&own, sizeof(own)) == 0);
    /* Closed with a reset, so that no port waits for a minute. */
    const struct linger linger = {.l_onoff = 1};
    CHECK(setsockopt(client, SOL_SOCKET, SO_LINGER, &linger, sizeof(linger)) == 0);
    if (connect(client, (const struct sockaddr *)&address, sizeof(address)) != 0) {
        /* The fuzzer's alarm; the connection goes on being made. */
        CHECK(errno == EINTR);
        struct pollfd made = {.fd = client, .events = POLLOUT};
        while (poll(&made, 1, -1) < 0) {
            CHECK(errno == EINTR);
        }
    }
    return client;
}

static void say(int client, const void *bytes, size_t len)
{
    /* Smaller than the socket's buffer: it is taken whole, unless the server has hung up. */
    (void)send(client, bytes, len, MSG_NOSIGNAL);
}

/* Runs the loop until the server side is through with the connection. */
static void serve(int client)
{
    for (int turn = 0; turn < 2 && net_streams_count(world.net) == 0; turn++) {
        (void)uv_run(&world.loop, UV_RUN_NOWAIT);
    }
    for (int turn = 0; turn < 4; turn++) {
        (void)uv_run(&world.loop, UV_RUN_NOWAIT);
    }
    CHECK(close(client) == 0);
    for (int turn = 0; net_streams_count(world.net) > 0; turn++) {
        CHECK(turn < TURNS_MAX);
        (void)uv_run(&world.loop, UV_RUN_NOWAIT);
    }
    CHECK(server_calls_count(world.server) == 0);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    if (world.net == NULL) {
        start();
    }
    if (size == 0 || size > INPUT_MAX) {
        return 0;
    }
    bool http2 = data[0] % 2 == 0;
    int client = dial(http2 ? server_port(world.server) : http1_port(world.http1));
    if (data[0] % 4 == 0) {
        say(client, PREFACE, sizeof(PREFACE) - 1);
        say(client, "\0", 1); /* the last byte of the settings' header */
    }
    say(client, data + 1, size - 1);
    serve(client);
    return 0;
}
