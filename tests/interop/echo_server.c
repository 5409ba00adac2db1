/* SPDX-License-Identifier: Apache-2.0 */
/* The echo services (tests/unit/rpc/rpc_echo.h) and health, plain and over mutual TLS, for clients
 * that we did not write. Prints "plain PORT" and "tls PORT", stops when its standard input ends (so
 * that it never outlives its test); a line "drain" on it drains both. */
#include "base/check.h"
#include "rpc/health.h"
#include "rpc/server.h"
#include "rpc/tls.h"
#include "tests/unit/rpc/rpc_echo.h"

#include <stdio.h>
#include <string.h>
#include <uv.h>

enum {
    SERVERS = 2
};

struct program {
    uv_loop_t loop;
    uv_pipe_t input;
    char input_bytes[256];
    struct net *net;
    struct tls *tls;
    struct rpc_echo echo;
    struct server *servers[SERVERS];
    struct health *healths[SERVERS];
    bool draining;
};

static void serve(struct program *program, int which, const char *name, struct tls *tls)
{
    struct reason reason = {0};
    struct server_options options = {
        .address = "127.0.0.1:0",
        .tls = tls,
        .tls_role = TLS_SERVER,
        .methods = program->echo.methods,
        .methods_count = RPC_ECHO_METHODS,
    };
    if (server_new(program->net, &options, &reason, &program->servers[which]) != ERR_OK) {
        fprintf(stderr, "%s\n", reason.text);
        UNREACHABLE("loopback has free ports");
    }
    program->healths[which] = health_new(program->servers[which]);
    health_set(program->healths[which], "", true);
    health_set(program->healths[which], "leader", false);
    printf("%s %u\n", name, server_port(program->servers[which]));
}

static void on_drained(struct server *server, void *ctx)
{
    (void)server;
    (void)ctx;
    printf("drained\n");
    fflush(stdout);
}

static void on_alloc(uv_handle_t *handle, size_t suggested, uv_buf_t *buf)
{
    (void)suggested;
    struct program *program = handle->data;
    *buf = uv_buf_init(program->input_bytes, sizeof(program->input_bytes));
}

static void on_input(uv_stream_t *stream, ssize_t nread, const uv_buf_t *buf)
{
    (void)buf;
    struct program *program = stream->data;
    for (int i = 0; i < SERVERS; i++) {
        if (nread < 0) {
            server_free(program->servers[i]);
        } else if (nread > 0 && !program->draining) {
            health_set(program->healths[i], "", false);
            server_drain(program->servers[i], 10000, on_drained, program);
        }
    }
    program->draining = program->draining || nread > 0;
    if (nread < 0) {
        uv_close((uv_handle_t *)stream, NULL);
    }
}

int main(int argc, char **argv)
{
    static struct program program;
    struct reason reason = {0};
    if (argc != 4) {
        fprintf(stderr, "usage: echo_server CA CERT KEY\n");
        return 2;
    }
    struct tls_files files = {.ca_path = argv[1], .cert_path = argv[2], .key_path = argv[3]};
    if (tls_new(&files, &reason, &program.tls) != ERR_OK) {
        fprintf(stderr, "%s\n", reason.text);
        return 1;
    }
    CHECK(uv_loop_init(&program.loop) == 0);
    program.net = net_new(&program.loop);
    rpc_echo_init(&program.echo);
    serve(&program, 0, "plain", NULL);
    serve(&program, 1, "tls", program.tls);
    fflush(stdout);
    CHECK(uv_pipe_init(&program.loop, &program.input, 0) == 0);
    program.input.data = &program;
    CHECK(uv_pipe_open(&program.input, 0) == 0);
    CHECK(uv_read_start((uv_stream_t *)&program.input, on_alloc, on_input) == 0);
    uv_run(&program.loop, UV_RUN_DEFAULT);
    for (int i = 0; i < SERVERS; i++) {
        health_free(program.healths[i]);
    }
    net_free(program.net);
    uv_run(&program.loop, UV_RUN_DEFAULT);
    CHECK(uv_loop_close(&program.loop) == 0);
    tls_free(program.tls);
    return 0;
}
