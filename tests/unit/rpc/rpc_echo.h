/* SPDX-License-Identifier: Apache-2.0 */
/* A gRPC server with one method of each kind, for tests of both sides and for the interop server:
 *   /test.Echo/Unary   replies with the message
 *   /test.Echo/Silent  never replies; counts cancellations
 *   /test.Echo/Fail    FAILED_PRECONDITION with details, a trailer and a message in UTF-8
 *   /test.Echo/Count   server stream: message is a decimal number of replies to send
 *   /test.Echo/Chat    bidi: echoes each message, finishes when the client does
 *   /test.Echo/Early   bidi: finishes with ABORTED on the first message
 *   /test.Echo/Peer    replies with the caller's identity and its metadata "x-test" */
#ifndef INDABA_TESTS_RPC_ECHO_H
#define INDABA_TESTS_RPC_ECHO_H

#include "rpc/server.h"

struct rpc_echo {
    volatile uint32_t cancelled;
    volatile uint32_t silent_started;
    volatile uint32_t sent; /* messages of Count accepted for sending */
    volatile uint32_t drains;
    volatile uint32_t refused; /* messages of Chat that found no room */
    uint32_t pause_each;       /* Chat: pauses after each message, until echo_resume */
    struct server_call *paused;
    struct server_method methods[7];
};

enum {
    RPC_ECHO_METHODS = 7
};

void rpc_echo_init(struct rpc_echo *echo);

#endif
