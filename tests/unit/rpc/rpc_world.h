/* SPDX-License-Identifier: Apache-2.0 */
/* An echo server and a channel to it on one loop, and calls that remember how they ended. */
#ifndef INDABA_TESTS_RPC_WORLD_H
#define INDABA_TESTS_RPC_WORLD_H

#include "rpc/channel.h"
#include "rpc/server.h"
#include "rpc_echo.h"
#include "rpc_fixture.h"

struct rpc_world {
    struct rpc_fixture fixture;
    struct rpc_echo echo;
    struct server *server;
    struct channel *channel;
    struct tls *server_tls;
    struct tls *client_tls;
    volatile uint32_t ready;
    volatile uint32_t backoffs;
    volatile uint32_t drained;
};

/* What a call has told. */
struct rpc_outcome {
    volatile uint32_t done;
    volatile uint32_t messages;
    volatile uint32_t drained;
    uint32_t stop_after; /* cancels the call in the handler of that message */
    struct channel_call *call;
    enum grpc_status status;
    bool not_processed;
    char message[128];
    char reason[32];
    struct buf reply; /* of a stream: the last message */
    size_t bytes;
};

extern const struct channel_stream_handlers rpc_stream_handlers;

void rpc_world_start(struct rpc_world *world);
void rpc_world_start_with(struct rpc_world *world, struct server_options *options, bool with_tls);
void rpc_world_stop(struct rpc_world *world);
void rpc_on_state(struct channel *channel,
                  enum channel_state state,
                  enum stream_reason reason,
                  const char *detail,
                  void *ctx);
void rpc_on_done(const struct channel_result *result, void *ctx);
/* With a deadline of 8 s. */
struct channel_request rpc_request_of(const char *path);
/* Begins a call; its outcome comes later. */
void rpc_unary(struct rpc_world *world,
               struct rpc_outcome *outcome,
               const char *path,
               const char *text);
/* Runs until the call is done, once. */
void rpc_await(struct rpc_world *world, struct rpc_outcome *outcome);
/* Status OK with that reply; frees it. */
void rpc_assert_reply(struct rpc_outcome *outcome, const char *text);

#endif
