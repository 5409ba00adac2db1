/* SPDX-License-Identifier: Apache-2.0 */
/* See port_look.h. One attempt at a time, each on a socket of its own; the timer begins the next
 * attempt, or ends one that got no answer. */
#include "replication/port_look.h"

#include "base/check.h"
#include "base/clock.h"
#include "base/mem.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <uv.h>

enum {
    EVERY_MS = 200,
    SILENT_MS = 700,
};

struct attempt {
    uv_tcp_t tcp;
    uv_connect_t connect;
    uv_write_t write;
    struct port_look *reach; /* NULL: given up, its callbacks mean nothing */
    char answer[64];
};

struct port_look {
    struct uv_loop_s *loop;
    struct slice greeting;
    uv_timer_t timer;
    struct attempt *attempt; /* NULL between attempts */
    struct instance_id instance;
    char address[ADDRESS_SIZE];
    enum reach seen;
    uint64_t since_ms; /* when the first attempt with this outcome began */
    uint64_t begun_ms;
    void (*on_change)(void *ctx);
    void *ctx;
    void (*closed)(void *ctx);
    void *closed_ctx;
};

static void on_timer(uv_timer_t *timer);
static void begin(struct port_look *reach);
static bool parse_address(const char *address, struct sockaddr_storage *out);
static void on_connect(uv_connect_t *request, int status);
static void on_alloc(uv_handle_t *handle, size_t suggested, uv_buf_t *buf);
static void on_read(uv_stream_t *stream, ssize_t got, const uv_buf_t *buf);
static void finish(struct port_look *reach, enum reach outcome);
static enum reach judge(int status);
static void give_up(struct port_look *reach);
static void on_attempt_closed(uv_handle_t *handle);
static void on_timer_closed(uv_handle_t *handle);

struct port_look *port_look_new(const struct port_look_options *options)
{
    struct port_look *reach = mem_new(sizeof(*reach));

    reach->loop = options->loop;
    reach->greeting = options->greeting;
    reach->on_change = options->on_change;
    reach->ctx = options->ctx;
    CHECK(uv_timer_init(reach->loop, &reach->timer) == 0);
    reach->timer.data = reach;
    return reach;
}

void port_look_free(struct port_look *reach, void (*closed)(void *ctx), void *ctx)
{
    give_up(reach);
    reach->closed = closed;
    reach->closed_ctx = ctx;
    uv_close((uv_handle_t *)&reach->timer, on_timer_closed);
}

void port_look_target(struct port_look *reach, struct instance_id instance, const char *address)
{
    if (reach->instance.value == instance.value && strcmp(reach->address, address) == 0) {
        return;
    }
    give_up(reach);
    reach->instance = instance;
    (void)snprintf(reach->address, sizeof(reach->address), "%s", address);
    reach->seen = REACH_UNKNOWN;
    reach->since_ms = clock_monotonic_ms();
    if (instance.value != 0) {
        CHECK(uv_timer_start(&reach->timer, on_timer, 0, 0) == 0);
    } else {
        (void)uv_timer_stop(&reach->timer);
    }
}

enum reach
port_look_get(const struct port_look *reach, struct instance_id *instance_out, uint32_t *for_ms_out)
{
    uint64_t for_ms = clock_monotonic_ms() - reach->since_ms;

    *instance_out = reach->instance;
    *for_ms_out = for_ms < UINT32_MAX ? (uint32_t)for_ms : UINT32_MAX;
    return reach->seen;
}

static void on_timer(uv_timer_t *timer)
{
    struct port_look *reach = timer->data;

    if (reach->attempt != NULL) {
        finish(reach, REACH_SILENT);
    } else {
        begin(reach);
    }
}

static void begin(struct port_look *reach)
{
    struct sockaddr_storage address;

    reach->begun_ms = clock_monotonic_ms();
    if (!parse_address(reach->address, &address)) {
        finish(reach, REACH_UNKNOWN);
        return;
    }
    struct attempt *attempt = mem_new(sizeof(*attempt));
    CHECK(uv_tcp_init(reach->loop, &attempt->tcp) == 0);
    attempt->tcp.data = attempt;
    attempt->reach = reach;
    reach->attempt = attempt;
    CHECK(uv_timer_start(&reach->timer, on_timer, SILENT_MS, 0) == 0);
    int code = uv_tcp_connect(
        &attempt->connect, &attempt->tcp, (const struct sockaddr *)&address, on_connect);
    if (code != 0) {
        finish(reach, judge(code));
    }
}

static bool parse_address(const char *address, struct sockaddr_storage *out)
{
    char host[ADDRESS_SIZE];
    const char *colon = strrchr(address, ':');

    if (colon == NULL || colon == address || colon - address >= ADDRESS_SIZE) {
        return false;
    }
    int port = (int)strtol(colon + 1, NULL, 10);
    size_t len = (size_t)(colon - address);
    memcpy(host, address, len);
    host[len] = '\0';
    if (host[0] != '[') {
        return uv_ip4_addr(host, port, (struct sockaddr_in *)out) == 0;
    }
    host[len - 1] = '\0';
    return uv_ip6_addr(host + 1, port, (struct sockaddr_in6 *)out) == 0;
}

static void on_connect(uv_connect_t *request, int status)
{
    struct attempt *attempt = request->handle->data;

    if (attempt->reach == NULL) {
        return;
    }
    const struct slice greeting = attempt->reach->greeting;
    uv_buf_t buf = uv_buf_init((char *)(uintptr_t)greeting.data, (unsigned)greeting.len);
    if (status == 0) {
        status = uv_read_start((uv_stream_t *)&attempt->tcp, on_alloc, on_read);
    }
    if (status == 0) {
        status = uv_write(&attempt->write, (uv_stream_t *)&attempt->tcp, &buf, 1, NULL);
    }
    if (status != 0) {
        finish(attempt->reach, judge(status));
    }
}

static void on_alloc(uv_handle_t *handle, size_t suggested, uv_buf_t *buf)
{
    struct attempt *attempt = handle->data;

    (void)suggested;
    *buf = uv_buf_init(attempt->answer, sizeof(attempt->answer));
}

/* Any byte is an answer. */
static void on_read(uv_stream_t *stream, ssize_t got, const uv_buf_t *buf)
{
    struct attempt *attempt = stream->data;

    (void)buf;
    if (attempt->reach != NULL && got != 0) {
        finish(attempt->reach, got > 0 ? REACH_OK : judge((int)got));
    }
}

static void finish(struct port_look *reach, enum reach outcome)
{
    bool changed = outcome != reach->seen;

    give_up(reach);
    if (changed) {
        reach->seen = outcome;
        reach->since_ms = reach->begun_ms;
    }
    CHECK(uv_timer_start(&reach->timer, on_timer, EVERY_MS, 0) == 0);
    if (changed) {
        reach->on_change(reach->ctx);
    }
}

/* Reset and end of file come from a machine that lives and a server that does not. Whatever the
 * network says of a path that is broken is silence. */
static enum reach judge(int status)
{
    return status == UV_ECONNREFUSED || status == UV_ECONNRESET || status == UV_EOF ||
                   status == UV_EPIPE
               ? REACH_REFUSED
               : REACH_SILENT;
}

static void give_up(struct port_look *reach)
{
    if (reach->attempt != NULL) {
        reach->attempt->reach = NULL;
        uv_close((uv_handle_t *)&reach->attempt->tcp, on_attempt_closed);
        reach->attempt = NULL;
    }
}

static void on_attempt_closed(uv_handle_t *handle)
{
    mem_free(handle->data);
}

static void on_timer_closed(uv_handle_t *handle)
{
    struct port_look *reach = handle->data;
    void (*closed)(void *ctx) = reach->closed;
    void *ctx = reach->closed_ctx;

    mem_free(reach);
    closed(ctx);
}
