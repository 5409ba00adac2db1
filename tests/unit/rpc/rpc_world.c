/* SPDX-License-Identifier: Apache-2.0 */
/* See rpc_world.h. */
#include "rpc_world.h"

#include <stdio.h>
#include <string.h>

void rpc_on_state(struct channel *channel,
                  enum channel_state state,
                  enum stream_reason reason,
                  const char *detail,
                  void *ctx)
{
    (void)channel;
    (void)reason;
    (void)detail;
    struct rpc_world *world = ctx;
    world->ready = state == CHANNEL_READY;
    world->backoffs += state == CHANNEL_BACKOFF ? 1 : 0;
}

void rpc_on_done(const struct channel_result *result, void *ctx)
{
    struct rpc_outcome *outcome = ctx;
    outcome->done++;
    outcome->status = result->status;
    outcome->not_processed = result->not_processed;
    outcome->call = NULL;
    snprintf(outcome->message, sizeof(outcome->message), "%s", result->message);
    buf_append(&outcome->reply, result->reply.data, result->reply.len);
    (void)!grpc_status_details_find(
        result->details, NULL, outcome->reason, sizeof(outcome->reason));
}

static void on_message(struct channel_call *call, struct slice message, void *ctx)
{
    struct rpc_outcome *outcome = ctx;
    outcome->messages++;
    outcome->bytes += message.len;
    buf_clear(&outcome->reply);
    buf_append(&outcome->reply, message.data, message.len);
    if (outcome->messages == outcome->stop_after) {
        outcome->call = NULL;
        channel_call_cancel(call);
    }
}

static void on_drain(struct channel_call *call, void *ctx)
{
    (void)call;
    ((struct rpc_outcome *)ctx)->drained++;
}

const struct channel_stream_handlers rpc_stream_handlers = {
    .on_message = on_message,
    .on_drain = on_drain,
    .on_done = rpc_on_done,
};

void rpc_world_start_with(struct rpc_world *world, struct server_options *options, bool with_tls)
{
    *world = (struct rpc_world){0};
    rpc_start(&world->fixture);
    rpc_echo_init(&world->echo);
    struct reason reason = {0};
    if (with_tls) {
        world->server_tls = rpc_tls(rpc_certs(), "n1");
        world->client_tls = rpc_tls(rpc_certs(), "ops");
    }
    options->address = options->address == NULL ? "127.0.0.1:0" : options->address;
    options->tls = world->server_tls;
    options->tls_role = TLS_SERVER;
    options->methods = world->echo.methods;
    options->methods_count = RPC_ECHO_METHODS;
    if (server_new(world->fixture.net, options, &reason, &world->server) != ERR_OK) {
        fail_msg("%s", reason.text);
    }
    struct channel_options client = {
        .address = rpc_address(server_port(world->server)),
        .tls = world->client_tls,
        .peer_path_prefix = with_tls ? "/member/" : NULL,
        .backoff_min_ms = 10,
    };
    assert_int_equal(channel_new(world->fixture.net, &client, rpc_on_state, world, &world->channel),
                     ERR_OK);
}

void rpc_world_start(struct rpc_world *world)
{
    struct server_options options = {0};
    rpc_world_start_with(world, &options, false);
}

void rpc_world_stop(struct rpc_world *world)
{
    channel_free(world->channel);
    server_free(world->server);
    rpc_stop(&world->fixture);
    tls_free(world->server_tls);
    tls_free(world->client_tls);
}

struct channel_request rpc_request_of(const char *path)
{
    return (struct channel_request){.path = path, .timeout_ms = 8000};
}

void rpc_await(struct rpc_world *world, struct rpc_outcome *outcome)
{
    rpc_run_until(&world->fixture, &outcome->done, "the end of a call");
    assert_int_equal(outcome->done, 1);
}

void rpc_unary(struct rpc_world *world,
               struct rpc_outcome *outcome,
               const char *path,
               const char *text)
{
    struct channel_request request = rpc_request_of(path);
    *outcome = (struct rpc_outcome){0};
    outcome->call =
        channel_unary(world->channel, &request, slice_of_string(text), rpc_on_done, outcome);
    assert_int_equal(outcome->done, 0); /* never from inside */
}

void rpc_assert_reply(struct rpc_outcome *outcome, const char *text)
{
    assert_int_equal(outcome->status, GRPC_OK);
    assert_true(slice_equal(buf_view(&outcome->reply), slice_of_string(text)));
    buf_deinit(&outcome->reply);
}
