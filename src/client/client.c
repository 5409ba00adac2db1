/* SPDX-License-Identifier: Apache-2.0 */
/* Unary calls: see client/client.h. A call is a timer and at most one attempt on a channel. */
#include "client/client_internal.h"

#include "base/check.h"
#include "base/mem.h"

#include <stdio.h>
#include <string.h>

enum {
    ATTEMPT_TIMEOUT_MS = 2000,
    KEEPALIVE_MS = 10000,
    KEEPALIVE_TIMEOUT_MS = 5000,
    RETRY_PAUSE_MS = 50,
};

struct client_call {
    struct client *client;
    struct client_call *next;
    char *path;
    struct buf message;
    uint64_t deadline_ms; /* uv_now of the loop */
    uint32_t attempts;
    size_t endpoint;
    bool only;                    /* this endpoint, once */
    struct channel_call *attempt; /* NULL while pausing between attempts */
    uv_timer_t pause;
    client_done_fn on_done;
    void *ctx;
};

static struct client_call *call_new(struct client *client,
                                    const struct client_request *request,
                                    client_done_fn on_done,
                                    void *ctx);
static uint64_t call_left_ms(const struct client_call *call);
static void call_attempt(struct client_call *call);
static void call_attempt_done(const struct channel_result *result, void *ctx);
static bool call_may_retry(const struct client_call *call, enum grpc_status status);
static void call_finish(struct client_call *call, const struct channel_result *result);
static void call_unlink(struct client_call *call);
static void call_release(struct client_call *call);
static void on_pause(uv_timer_t *timer);
static void on_pause_closed(uv_handle_t *handle);

enum error
client_new(struct net *net, const struct client_options *options, struct client **client_out)
{
    if (options->addresses_count == 0 || options->addresses_count > CLIENT_ADDRESSES_MAX) {
        return ERR_INVALID;
    }
    for (size_t i = 0; i < options->addresses_count; i++) {
        TRY(net_check_address(options->addresses[i]));
        if (strlen(options->addresses[i]) >= NET_ADDRESS_SIZE) {
            return ERR_INVALID;
        }
    }
    struct client *client = mem_new(sizeof(*client));
    client->net = net;
    client->tls = options->tls;
    client->options = *options;
    client->options.addresses = NULL;
    if (client->options.attempt_timeout_ms == 0) {
        client->options.attempt_timeout_ms = ATTEMPT_TIMEOUT_MS;
    }
    if (client->options.keepalive_ms == 0) {
        client->options.keepalive_ms = KEEPALIVE_MS;
    }
    if (client->options.keepalive_timeout_ms == 0) {
        client->options.keepalive_timeout_ms = KEEPALIVE_TIMEOUT_MS;
    }
    for (size_t i = 0; i < options->addresses_count; i++) {
        (void)client_endpoint_find(client, options->addresses[i], 0);
    }
    *client_out = client;
    return ERR_OK;
}

void client_free(struct client *client)
{
    while (client->calls != NULL) {
        struct client_call *call = client->calls;
        if (call->attempt != NULL) {
            channel_call_cancel(call->attempt);
            call->attempt = NULL;
        }
        call_unlink(call);
        call_release(call);
    }
    for (size_t i = 0; i < client->endpoints_count; i++) {
        if (client->endpoints[i].channel != NULL) {
            channel_free(client->endpoints[i].channel);
        }
    }
    mem_free(client);
}

void client_call(struct client *client,
                 const struct client_request *request,
                 client_done_fn on_done,
                 void *ctx)
{
    struct client_call *call = call_new(client, request, on_done, ctx);
    call->endpoint = client->preferred;
    call_attempt(call);
}

enum error client_ask(struct client *client,
                      const char *address,
                      const struct client_request *request,
                      client_done_fn on_done,
                      void *ctx)
{
    TRY(net_check_address(address));
    size_t endpoint = client_endpoint_find(client, address, CLIENT_ADDRESSES_MAX);
    if (endpoint == CLIENT_ADDRESSES_MAX) {
        return ERR_LIMIT;
    }
    struct client_call *call = call_new(client, request, on_done, ctx);
    call->endpoint = endpoint;
    call->only = true;
    channel_redial(client_endpoint_channel(client, endpoint));
    call_attempt(call);
    return ERR_OK;
}

static struct client_call *call_new(struct client *client,
                                    const struct client_request *request,
                                    client_done_fn on_done,
                                    void *ctx)
{
    CHECK(on_done != NULL);
    CHECK(request->timeout_ms > 0);
    uv_loop_t *loop = net_loop(client->net);
    struct client_call *call = mem_new(sizeof(*call));
    call->client = client;
    call->path = mem_dup_string(request->path);
    buf_append(&call->message, request->message.data, request->message.len);
    call->deadline_ms = uv_now(loop) + request->timeout_ms;
    call->on_done = on_done;
    call->ctx = ctx;
    CHECK(uv_timer_init(loop, &call->pause) == 0);
    call->pause.data = call;
    call->next = client->calls;
    client->calls = call;
    return call;
}

struct channel *client_endpoint_channel(struct client *client, size_t endpoint)
{
    CHECK(endpoint < client->endpoints_count);
    struct client_endpoint *target = &client->endpoints[endpoint];
    if (target->channel == NULL) {
        struct channel_options options = {
            .address = target->address,
            .tls = client->tls,
            .peer_path_prefix = client->tls == NULL ? NULL : "/member/",
            .connect_timeout_ms = client->options.attempt_timeout_ms,
            .keepalive_ms = client->options.keepalive_ms,
            .keepalive_timeout_ms = client->options.keepalive_timeout_ms,
            .backoff_max_ms = 500,
        };
        enum error error = channel_new(client->net, &options, NULL, NULL, &target->channel);
        CHECK(error == ERR_OK); /* the address was checked when it was added */
    }
    return target->channel;
}

size_t client_endpoint_find(struct client *client, const char *address, size_t fallback)
{
    for (size_t i = 0; i < client->endpoints_count; i++) {
        if (strcmp(client->endpoints[i].address, address) == 0) {
            return i;
        }
    }
    bool fits = strlen(address) < NET_ADDRESS_SIZE && net_check_address(address) == ERR_OK;
    if (!fits || client->endpoints_count == CLIENT_ADDRESSES_MAX) {
        return fallback;
    }
    size_t added = client->endpoints_count++;
    (void)snprintf(client->endpoints[added].address, NET_ADDRESS_SIZE, "%s", address);
    return added;
}

static uint64_t call_left_ms(const struct client_call *call)
{
    uint64_t now_ms = uv_now(net_loop(call->client->net));
    return call->deadline_ms > now_ms ? call->deadline_ms - now_ms : 0;
}

static void call_attempt(struct client_call *call)
{
    struct client *client = call->client;
    uint64_t left_ms = call_left_ms(call);
    uint64_t timeout_ms = left_ms;
    /* With one member there is nothing to go on to: give it all the time there is. */
    if (!call->only && client->endpoints_count > 1 &&
        timeout_ms > client->options.attempt_timeout_ms) {
        timeout_ms = client->options.attempt_timeout_ms;
    }
    if (timeout_ms == 0) {
        timeout_ms = 1;
    }
    struct channel_request request = {
        .path = call->path,
        .timeout_ms = (uint32_t)timeout_ms,
        .wait_for_ready = false,
    };
    call->attempts++;
    call->attempt = channel_unary(client_endpoint_channel(client, call->endpoint),
                                  &request,
                                  buf_view(&call->message),
                                  call_attempt_done,
                                  call);
}

static void call_attempt_done(const struct channel_result *result, void *ctx)
{
    struct client_call *call = ctx;
    struct client *client = call->client;
    call->attempt = NULL;
    if (!call_may_retry(call, result->status)) {
        client->preferred = call->only ? client->preferred : call->endpoint;
        call_finish(call, result);
        return;
    }
    size_t next = (call->endpoint + 1) % client->endpoints_count;
    bool went_round = call->attempts % client->endpoints_count == 0;
    call->endpoint = next;
    CHECK(uv_timer_start(&call->pause, on_pause, went_round ? RETRY_PAUSE_MS : 0, 0) == 0);
}

/* Only what another member, or the same one in a moment, may answer otherwise. An attempt that
 * timed out while the call has time left is one of them: its request id makes the repetition safe.
 */
static bool call_may_retry(const struct client_call *call, enum grpc_status status)
{
    if (call->only || call_left_ms(call) <= RETRY_PAUSE_MS) {
        return false;
    }
    return status == GRPC_UNAVAILABLE || status == GRPC_DEADLINE_EXCEEDED;
}

static void call_finish(struct client_call *call, const struct channel_result *result)
{
    struct client_result outcome = {
        .status = result->status,
        .message = result->message,
        .details = result->details,
        .reply = result->reply,
        .attempts = call->attempts,
        .address = call->client->endpoints[call->endpoint].address,
        .peer = channel_peer(client_endpoint_channel(call->client, call->endpoint)),
    };
    client_done_fn on_done = call->on_done;
    void *ctx = call->ctx;
    call_unlink(call);
    on_done(&outcome, ctx);
    call_release(call);
}

static void call_unlink(struct client_call *call)
{
    struct client_call **link = &call->client->calls;
    while (*link != call) {
        CHECK(*link != NULL);
        link = &(*link)->next;
    }
    *link = call->next;
}

static void call_release(struct client_call *call)
{
    mem_free(call->path);
    buf_deinit(&call->message);
    uv_close((uv_handle_t *)&call->pause, on_pause_closed);
}

static void on_pause(uv_timer_t *timer)
{
    call_attempt(timer->data);
}

static void on_pause_closed(uv_handle_t *handle)
{
    mem_free(handle->data);
}
