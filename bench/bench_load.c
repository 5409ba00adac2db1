/* SPDX-License-Identifier: Apache-2.0 */
/* Clients of etcd's KV that ask one thing after another, each over a connection of its own, for
 * what h2load cannot do: mutual TLS. Messages are written by hand, so that any server is measured
 * alike.
 *
 * usage: bench_load ADDRESS[,ADDRESS…] put|get CLIENTS SECONDS [CA CERT KEY]
 * Clients are dealt out over the addresses in turn. Prints "DONE PER_SECOND P50_MS P99_MS". A
 * failed request ends it with 1. */
#include "base/check.h"
#include "base/clock.h"
#include "base/mem.h"
#include "rpc/channel.h"
#include "rpc/net.h"
#include "rpc/tls.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <uv.h>

enum {
    SAMPLES_MAX = 4 << 20,
    VALUE_SIZE = 256,
    ADDRESSES_MAX = 8
};

struct client {
    struct bench *bench;
    struct channel *channel;
    uint64_t asked_ns;
    bool ready;
};

struct bench {
    uv_loop_t loop;
    uv_timer_t timer;
    struct net *net;
    struct tls *tls;
    const char *path;
    struct buf message;
    struct client *clients;
    uint32_t clients_count;
    uint32_t ready;
    uint32_t seconds;
    uint64_t started_ns;
    uint64_t done;
    uint32_t *samples_us;
};

static void ask(struct client *client);

static int compare(const void *a, const void *b)
{
    uint32_t left = *(const uint32_t *)a;
    uint32_t right = *(const uint32_t *)b;
    return left < right ? -1 : left > right;
}

static void on_time(uv_timer_t *timer)
{
    struct bench *bench = timer->data;
    double seconds = (double)(clock_boottime_ns() - bench->started_ns) / 1e9;
    size_t count = bench->done < SAMPLES_MAX ? bench->done : SAMPLES_MAX;
    qsort(bench->samples_us, count, sizeof(*bench->samples_us), compare);
    printf("%llu %.1f %.3f %.3f\n",
           (unsigned long long)bench->done,
           (double)bench->done / seconds,
           count == 0 ? 0 : bench->samples_us[count / 2] / 1e3,
           count == 0 ? 0 : bench->samples_us[count * 99 / 100] / 1e3);
    exit(0);
}

/* Every client waits until all have had a first answer: handshakes are not measured, and are not
 * disturbed by requests. */
static void on_first_done(struct client *client, const struct channel_result *result)
{
    struct bench *bench = client->bench;
    if (result->status == GRPC_UNAVAILABLE) {
        ask(client); /* its handshake took longer than the server waits: too many at once */
        return;
    }
    client->ready = true;
    bench->ready++;
    if (bench->ready == bench->clients_count) {
        bench->started_ns = clock_boottime_ns();
        uv_timer_start(&bench->timer, on_time, bench->seconds * 1000, 0);
        for (uint32_t i = 0; i < bench->clients_count; i++) {
            ask(&bench->clients[i]);
        }
    }
}

static void on_done(const struct channel_result *result, void *ctx)
{
    struct client *client = ctx;
    struct bench *bench = client->bench;
    if (result->status != GRPC_OK && (client->ready || result->status != GRPC_UNAVAILABLE)) {
        fprintf(stderr, "bench_load: %d %s\n", result->status, result->message);
        exit(1);
    }
    if (!client->ready) {
        on_first_done(client, result);
        return;
    }
    if (bench->done < SAMPLES_MAX) {
        uint64_t took_ns = clock_boottime_ns() - client->asked_ns;
        bench->samples_us[bench->done] = (uint32_t)(took_ns / 1000);
    }
    bench->done++;
    ask(client);
}

static void ask(struct client *client)
{
    const struct channel_request request = {
        .path = client->bench->path, .timeout_ms = 60000, .wait_for_ready = true};
    client->asked_ns = clock_boottime_ns();
    (void)channel_unary(
        client->channel, &request, buf_view(&client->bench->message), on_done, client);
}

static void begin(struct bench *bench, struct client *client, const char *address)
{
    const struct channel_options options = {
        .address = address,
        .tls = bench->tls,
        .connect_timeout_ms = 30000,
        .keepalive_ms = 600000,
    };
    client->bench = bench;
    CHECK(channel_new(bench->net, &options, NULL, NULL, &client->channel) == ERR_OK);
    ask(client);
}

/* PutRequest { key [1], value [2] } or RangeRequest { key [1] } */
static void make_message(struct bench *bench, bool put)
{
    static const char key[] = "bench/0123456789";
    buf_put_u8(&bench->message, 1 << 3 | 2);
    buf_put_u8(&bench->message, sizeof(key) - 1);
    buf_append(&bench->message, key, sizeof(key) - 1);
    if (put) {
        char value[VALUE_SIZE];
        memset(value, 'v', sizeof(value));
        buf_put_u8(&bench->message, 2 << 3 | 2);
        buf_put_u8(&bench->message, VALUE_SIZE % 128 + 128);
        buf_put_u8(&bench->message, VALUE_SIZE / 128);
        buf_append(&bench->message, value, sizeof(value));
    }
    bench->path = put ? "/etcdserverpb.KV/Put" : "/etcdserverpb.KV/Range";
}

/* Cuts `text` at its commas; how many there are. */
static uint32_t split(char *text, char *addresses[ADDRESSES_MAX])
{
    uint32_t count = 0;
    char *rest = text;
    while (rest != NULL && count < ADDRESSES_MAX) {
        addresses[count++] = strsep(&rest, ",");
    }
    return count;
}

int main(int argc, char **argv)
{
    static struct bench bench;
    char *addresses[ADDRESSES_MAX];
    char errmsg[NET_ERRMSG_SIZE] = "";
    if (argc != 5 && argc != 8) {
        fprintf(stderr,
                "usage: bench_load ADDRESS[,ADDRESS] put|get CLIENTS SECONDS [CA CERT KEY]\n");
        return 2;
    }
    if (argc == 8) {
        const struct tls_files files = {
            .ca_path = argv[5], .cert_path = argv[6], .key_path = argv[7]};
        if (tls_new(&files, errmsg, &bench.tls) != ERR_OK) {
            fprintf(stderr, "bench_load: %s\n", errmsg);
            return 1;
        }
    }
    make_message(&bench, strcmp(argv[2], "put") == 0);
    bench.clients_count = (uint32_t)strtoul(argv[3], NULL, 10);
    bench.seconds = (uint32_t)strtoul(argv[4], NULL, 10);
    bench.clients = mem_new_array(bench.clients_count, sizeof(*bench.clients));
    bench.samples_us = mem_new_array(SAMPLES_MAX, sizeof(*bench.samples_us));
    CHECK(uv_loop_init(&bench.loop) == 0);
    CHECK(uv_timer_init(&bench.loop, &bench.timer) == 0);
    bench.timer.data = &bench;
    bench.net = net_new(&bench.loop);
    uint32_t addresses_count = split(argv[1], addresses);
    for (uint32_t i = 0; i < bench.clients_count; i++) {
        begin(&bench, &bench.clients[i], addresses[i % addresses_count]);
    }
    return uv_run(&bench.loop, UV_RUN_DEFAULT);
}
