/* SPDX-License-Identifier: Apache-2.0 */
/* An HTTP server that says what it was asked, and raw clients of it. */
#ifndef INDABA_TESTS_RPC_SITE_H
#define INDABA_TESTS_RPC_SITE_H

#include "rpc/http1.h"
#include "rpc_fixture.h"

struct site {
    struct rpc_fixture fixture;
    struct http1 *http1;
    struct http1_exchange *held; /* "/later" */
    volatile uint32_t requests;
    volatile uint32_t aborted;
};

/* For http1_options, with the site as ctx. */
void site_on_request(struct http1_exchange *exchange,
                     const struct http1_request *request,
                     void *ctx);
void site_start(struct site *site);
void site_stop(struct site *site);
/* Connects, and runs until it is open. */
void site_visit(struct site *site, struct rpc_peer *peer);
/* Sends and runs until the answer ends in `end`. */
void site_ask(struct site *site, struct rpc_peer *peer, const char *request, const char *end);

#endif
