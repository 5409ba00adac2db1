/* SPDX-License-Identifier: Apache-2.0 */
/* Shared by client.c (calls) and client_session.c (the stream with the leader). */
#ifndef INDABA_CLIENT_CLIENT_INTERNAL_H
#define INDABA_CLIENT_CLIENT_INTERNAL_H

#include "client/client.h"

#include <uv.h>

struct client_endpoint {
    char address[NET_ADDRESS_SIZE];
    struct channel *channel; /* NULL until used */
};

struct client {
    struct net *net;
    struct tls *tls;
    struct client_options options; /* addresses not kept: see endpoints */
    struct client_endpoint endpoints[CLIENT_ADDRESSES_MAX];
    size_t endpoints_count;
    size_t preferred; /* the endpoint that answered last */
    struct client_call *calls;
};

/* The channel of an endpoint, dialled on first use. */
struct channel *client_endpoint_channel(struct client *client, size_t endpoint);
/* The endpoint with this address, added if there is room and it is new; `fallback` otherwise. */
size_t client_endpoint_find(struct client *client, const char *address, size_t fallback);

#endif
