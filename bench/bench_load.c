/* SPDX-License-Identifier: Apache-2.0 */
/* Clients of etcd's KV that ask one thing after another, each over a connection of its own, for
 * what h2load cannot do: mutual TLS. Messages are written by hand, so that any server is measured
 * alike.
 *
 * usage: bench_load ADDRESS[,ADDRESS…] WHAT[:COUNT[:BYTES]] CLIENTS SECONDS [CA CERT KEY]
 *   put, get: of one key, or a random one of COUNT; values of BYTES (256)
 *   fill: COUNT keys, each once, a hundred to a transaction
 *   leaf: COUNT writes of our own API, one leaf of the ledger each
 * Clients are dealt out over the addresses in turn. Ends after SECONDS, or what COUNT says. Prints
 * "DONE PER_SECOND P50_MS P99_MS", of requests. A failed one ends it with 1. */
#include "base/check.h"
#include "base/clock.h"
#include "base/ids.h"
#include "base/mem.h"
#include "base/prng.h"
#include "rpc/channel.h"
#include "rpc/net.h"
#include "rpc/proto_bytes.h"
#include "rpc/tls.h"

#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <uv.h>

enum {
    SAMPLES_MAX = 4 << 20,
    VALUE_SIZE = 256,
    ADDRESSES_MAX = 8,
    FILL_PUTS = 100,
    KEY_SIZE = 16
};

enum work {
    WORK_PUT,
    WORK_GET,
    WORK_FILL,
    WORK_LEAF
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
    enum work work;
    uint64_t keys;
    uint64_t next_key; /* to fill */
    uint64_t requests; /* so many, then it ends; 0: by time */
    struct prng prng;
    struct buf value;
    struct buf message; /* the request under way, and parts of it */
    struct buf put;
    struct buf operation;
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

static void finish(struct bench *bench)
{
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

static void on_time(uv_timer_t *timer)
{
    finish(timer->data);
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
    if (bench->done == bench->requests) {
        finish(bench);
    }
    ask(client);
}

static void put_key(struct buf *out, uint64_t number)
{
    char key[KEY_SIZE + 1];
    (void)snprintf(key, sizeof(key), "bench/%010" PRIu64, number % 10000000000);
    proto_put_bytes(out, 1, slice_of(key, KEY_SIZE));
}

/* PutRequest { key [1], value [2] } */
static void make_put(struct bench *bench, struct buf *out, uint64_t number)
{
    put_key(out, number);
    proto_put_bytes(out, 2, buf_view(&bench->value));
}

/* TxnRequest { success [2]: RequestOp { request_put [2] } } */
static void make_fill(struct bench *bench)
{
    for (uint32_t i = 0; i < FILL_PUTS; i++) {
        buf_clear(&bench->put);
        buf_clear(&bench->operation);
        make_put(bench, &bench->put, bench->next_key++ % bench->keys);
        proto_put_bytes(&bench->operation, 2, buf_view(&bench->put));
        proto_put_bytes(&bench->message, 2, buf_view(&bench->operation));
    }
}

/* PutRegionRequest { request_id [1], region [2]: Region { name [1], jurisdiction [2], rank [3] } }:
 * to what the region is already. */
static void make_leaf(struct bench *bench)
{
    struct request_id id = request_id_new(clock_wall_ms());
    char text[ID128_TEXT_SIZE];
    (void)snprintf(text, sizeof(text), "%016" PRIx64 "%016" PRIx64, id.hi, id.lo);
    buf_clear(&bench->put);
    proto_put_text(&bench->put, 1, "r1");
    proto_put_text(&bench->put, 2, "eu");
    proto_put_text(&bench->message, 1, text);
    proto_put_bytes(&bench->message, 2, buf_view(&bench->put));
}

/* The next request, in bench->message; its path. */
static const char *make_request(struct bench *bench)
{
    buf_clear(&bench->message);
    uint64_t number = bench->keys == 1 ? 0 : prng_below(&bench->prng, bench->keys);
    switch (bench->work) {
    case WORK_PUT:
        make_put(bench, &bench->message, number);
        return "/etcdserverpb.KV/Put";
    case WORK_GET:
        put_key(&bench->message, number);
        return "/etcdserverpb.KV/Range";
    case WORK_FILL:
        make_fill(bench);
        return "/etcdserverpb.KV/Txn";
    case WORK_LEAF:
        make_leaf(bench);
        return "/indaba.v1.Topology/PutRegion";
    }
    abort();
}

static void ask(struct client *client)
{
    struct bench *bench = client->bench;
    const struct channel_request request = {
        .path = make_request(bench), .timeout_ms = 60000, .wait_for_ready = true};
    client->asked_ns = clock_boottime_ns();
    (void)channel_unary(client->channel, &request, buf_view(&bench->message), on_done, client);
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

/* WHAT[:COUNT[:BYTES]]; false if it is none. */
static bool parse_work(struct bench *bench, const char *text)
{
    static const char *const names[] = {"put", "get", "fill", "leaf"};
    char *end = NULL;
    size_t len = strcspn(text, ":");
    uint64_t count = text[len] == ':' ? strtoull(text + len + 1, &end, 10) : 0;
    uint64_t bytes = end != NULL && *end == ':' ? strtoull(end + 1, NULL, 10) : VALUE_SIZE;
    for (size_t i = 0; i < ARRAY_LEN(names); i++) {
        if (strlen(names[i]) != len || strncmp(text, names[i], len) != 0) {
            continue;
        }
        bench->work = (enum work)i;
        bench->keys = count == 0 ? 1 : count;
        bench->requests = bench->work == WORK_FILL   ? bench->keys / FILL_PUTS
                          : bench->work == WORK_LEAF ? count
                                                     : 0;
        for (uint64_t at = 0; at < bytes; at++) {
            buf_put_u8(&bench->value, 'v');
        }
        prng_init(&bench->prng, 1);
        return true;
    }
    return false;
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
    struct reason reason = {0};
    if ((argc != 5 && argc != 8) || !parse_work(&bench, argv[2])) {
        fprintf(stderr,
                "usage: bench_load ADDRESS[,ADDRESS] put|get|fill|leaf[:COUNT[:BYTES]] CLIENTS "
                "SECONDS [CA CERT KEY]\n");
        return 2;
    }
    if (argc == 8) {
        const struct tls_files files = {
            .ca_path = argv[5], .cert_path = argv[6], .key_path = argv[7]};
        if (tls_new(&files, &reason, &bench.tls) != ERR_OK) {
            fprintf(stderr, "bench_load: %s\n", reason.text);
            return 1;
        }
    }
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
