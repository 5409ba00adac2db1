/* SPDX-License-Identifier: Apache-2.0 */
/* Opens many connections with one watch each, for `make bench`: to see what an idle connection
 * costs a server, and that each of them hears of a change. Speaks etcd's Watch with messages
 * written by hand, so that it measures any server alike.
 *
 * usage: bench_watch ADDRESS COUNT [CA CERT KEY]
 * Prints "watching N" when every watch was confirmed; then counts events, and prints "heard N" when
 * every watch has heard one. Stops at the end of its standard input. */
#include "base/check.h"
#include "base/mem.h"
#include "rpc/channel.h"
#include "rpc/net.h"
#include "rpc/tls.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <uv.h>

enum {
    OPENING_MAX = 256 /* handshakes under way */
};

struct watch {
    struct bench *bench;
    struct channel *channel;
    struct channel_call *call;
    bool created;
    bool heard;
};

struct bench {
    uv_loop_t loop;
    uv_pipe_t input;
    char input_bytes[64];
    struct net *net;
    struct tls *tls;
    const char *address;
    struct watch *watches;
    uint32_t count;
    uint32_t begun;
    uint32_t created;
    uint32_t heard;
};

/* WatchRequest { create_request { key: "bench/watched" } } */
static const uint8_t create[] = "\x0a\x0f\x0a\x0d"
                                "bench/watched";

static void begin_some(struct bench *bench);

static void on_message(struct channel_call *call, struct slice message, void *ctx)
{
    (void)call;
    (void)message;
    struct watch *watch = ctx;
    struct bench *bench = watch->bench;
    if (!watch->created) {
        watch->created = true;
        bench->created++;
        begin_some(bench);
        if (bench->created == bench->count) {
            printf("watching %u\n", bench->created);
            fflush(stdout);
        }
    } else if (!watch->heard) {
        watch->heard = true;
        bench->heard++;
        if (bench->heard == bench->count) {
            printf("heard %u\n", bench->heard);
            fflush(stdout);
        }
    }
}

static void on_done(const struct channel_result *result, void *ctx)
{
    (void)ctx;
    fprintf(stderr, "bench_watch: a watch ended: %d %s\n", result->status, result->message);
    exit(1);
}

static const struct channel_stream_handlers handlers = {
    .on_message = on_message,
    .on_done = on_done,
};

static void begin(struct bench *bench, struct watch *watch)
{
    const struct channel_options options = {
        .address = bench->address,
        .tls = bench->tls,
        .connect_timeout_ms = 30000,
        .keepalive_ms = 600000,
    };
    const struct channel_request request = {.path = "/etcdserverpb.Watch/Watch",
                                            .wait_for_ready = true};
    watch->bench = bench;
    CHECK(channel_new(bench->net, &options, NULL, NULL, &watch->channel) == ERR_OK);
    watch->call = channel_stream(watch->channel, &request, &handlers, watch);
    CHECK(channel_call_send(watch->call, slice_of(create, sizeof(create) - 1)) == ERR_OK);
}

static void begin_some(struct bench *bench)
{
    while (bench->begun < bench->count && bench->begun - bench->created < OPENING_MAX) {
        begin(bench, &bench->watches[bench->begun++]);
    }
}

static void on_alloc(uv_handle_t *handle, size_t suggested, uv_buf_t *buf)
{
    (void)suggested;
    struct bench *bench = handle->data;
    *buf = uv_buf_init(bench->input_bytes, sizeof(bench->input_bytes));
}

static void on_input(uv_stream_t *stream, ssize_t nread, const uv_buf_t *buf)
{
    (void)stream;
    (void)buf;
    if (nread < 0) {
        exit(0); /* the kernel closes ten thousand sockets faster than we do */
    }
}

int main(int argc, char **argv)
{
    static struct bench bench;
    struct reason reason = {0};
    if (argc != 3 && argc != 6) {
        fprintf(stderr, "usage: bench_watch ADDRESS COUNT [CA CERT KEY]\n");
        return 2;
    }
    bench.address = argv[1];
    bench.count = (uint32_t)strtoul(argv[2], NULL, 10);
    bench.watches = mem_new_array(bench.count, sizeof(*bench.watches));
    if (argc == 6) {
        const struct tls_files files = {
            .ca_path = argv[3], .cert_path = argv[4], .key_path = argv[5]};
        if (tls_new(&files, &reason, &bench.tls) != ERR_OK) {
            fprintf(stderr, "bench_watch: %s\n", reason.text);
            return 1;
        }
    }
    CHECK(uv_loop_init(&bench.loop) == 0);
    bench.net = net_new(&bench.loop);
    CHECK(uv_pipe_init(&bench.loop, &bench.input, 0) == 0);
    bench.input.data = &bench;
    CHECK(uv_pipe_open(&bench.input, 0) == 0);
    CHECK(uv_read_start((uv_stream_t *)&bench.input, on_alloc, on_input) == 0);
    begin_some(&bench);
    return uv_run(&bench.loop, UV_RUN_DEFAULT);
}
