/* SPDX-License-Identifier: Apache-2.0 */
/* See rpc_echo.h. */
#include "rpc_echo.h"

#include "base/mem.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

struct counting {
    struct rpc_echo *echo;
    uint32_t left;
    uint32_t next;
};

static void on_unary(struct server_call *call, struct slice message, void *ctx)
{
    (void)ctx;
    server_call_reply(call, message);
}

static void on_silent_cancel(struct server_call *call, void *ctx)
{
    (void)call;
    ((struct rpc_echo *)ctx)->cancelled++;
}

static void on_silent(struct server_call *call, struct slice message, void *ctx)
{
    (void)message;
    struct rpc_echo *echo = ctx;
    echo->silent_started++;
    server_call_set_cancel(call, on_silent_cancel, echo);
}

static void on_fail(struct server_call *call, struct slice message, void *ctx)
{
    (void)message;
    (void)ctx;
    static const char *const pairs[] = {"shard", "orders"};
    struct grpc_error_info info = {"FROZEN", "indaba", pairs, 1};
    struct buf details = {0};
    grpc_status_details_put(&details, GRPC_FAILED_PRECONDITION, "é frozen", &info);
    server_call_set_trailer(call, "x-trailer", "yes");
    server_call_finish(call, GRPC_FAILED_PRECONDITION, "é frozen 100%\n", buf_view(&details));
    buf_deinit(&details);
}

static void counting_free(struct server_call *call, void *ctx)
{
    struct counting *counting = ctx;
    (void)call;
    counting->echo->cancelled++;
    mem_free(counting);
}

/* Sends until the queue is full, goes on when it has drained. */
static void count_more(struct server_call *call, void *ctx)
{
    struct counting *counting = ctx;
    counting->echo->drains++;
    while (counting->left > 0) {
        if (server_call_queued_bytes(call) > 65536) {
            return;
        }
        char text[128];
        int len = snprintf(text, sizeof(text), "message %u %64s", counting->next, "");
        if (server_call_send(call, slice_of(text, (size_t)len)) != ERR_OK) {
            return;
        }
        counting->echo->sent++;
        counting->next++;
        counting->left--;
    }
    mem_free(counting);
    server_call_finish(call, GRPC_OK, NULL, slice_of(NULL, 0));
}

static void on_count(struct server_call *call, struct slice message, void *ctx)
{
    char number[16] = "";
    memcpy(number, message.data, message.len < 15 ? message.len : 15);
    struct counting *counting = mem_new(sizeof(*counting));
    counting->echo = ctx;
    counting->left = (uint32_t)strtoul(number, NULL, 10);
    server_call_set_cancel(call, counting_free, counting);
    server_call_set_drain(call, count_more, counting);
    count_more(call, counting);
}

static void on_chat_cancel(struct server_call *call, void *ctx)
{
    (void)call;
    struct rpc_echo *echo = ctx;
    echo->cancelled++;
    echo->paused = NULL;
}

static void on_chat_start(struct server_call *call, void *ctx)
{
    server_call_set_cancel(call, on_chat_cancel, ctx);
}

static void on_chat(struct server_call *call, struct slice message, void *ctx)
{
    struct rpc_echo *echo = ctx;
    if (server_call_send(call, message) != ERR_OK) {
        echo->refused++;
        server_call_fail(call, ERR_EXHAUSTED, "the client does not read");
        return;
    }
    if (echo->pause_each != 0) {
        server_call_pause(call);
        echo->paused = call;
    }
}

static void on_chat_end(struct server_call *call, void *ctx)
{
    ((struct rpc_echo *)ctx)->paused = NULL;
    server_call_finish(call, GRPC_OK, NULL, slice_of(NULL, 0));
}

static void on_early(struct server_call *call, struct slice message, void *ctx)
{
    (void)message;
    (void)ctx;
    server_call_finish(call, GRPC_ABORTED, "enough", slice_of(NULL, 0));
}

static void on_peer(struct server_call *call, struct slice message, void *ctx)
{
    (void)message;
    (void)ctx;
    const char *value = server_call_metadata(call, "x-test");
    struct buf text = {0};
    buf_printf(&text, "%s %s", server_call_peer(call), value == NULL ? "-" : value);
    server_call_reply(call, buf_view(&text));
    buf_deinit(&text);
}

void rpc_echo_init(struct rpc_echo *echo)
{
    *echo = (struct rpc_echo){0};
    const struct server_method methods[] = {
        {.path = "/test.Echo/Unary", .kind = SERVER_UNARY, .on_message = on_unary},
        {.path = "/test.Echo/Silent", .kind = SERVER_UNARY, .on_message = on_silent},
        {.path = "/test.Echo/Fail", .kind = SERVER_UNARY, .on_message = on_fail},
        {.path = "/test.Echo/Count", .kind = SERVER_STREAM, .on_message = on_count},
        {.path = "/test.Echo/Chat",
         .kind = SERVER_BIDI,
         .on_start = on_chat_start,
         .on_message = on_chat,
         .on_end = on_chat_end},
        {.path = "/test.Echo/Early", .kind = SERVER_BIDI, .on_message = on_early},
        {.path = "/test.Echo/Peer", .kind = SERVER_UNARY, .on_message = on_peer},
    };
    _Static_assert(sizeof(methods) == sizeof(echo->methods), "one entry for each method");
    memcpy(echo->methods, methods, sizeof(methods));
    for (size_t i = 0; i < RPC_ECHO_METHODS; i++) {
        echo->methods[i].ctx = echo;
    }
}
