/* SPDX-License-Identifier: Apache-2.0 */
/* grpc.health.v1.Health for a server: Check, List and Watch. The owner says what serves; the name
 * "" stands for the whole server. */
#ifndef INDABA_RPC_HEALTH_H
#define INDABA_RPC_HEALTH_H

#include "rpc/server.h"

struct health;

enum {
    HEALTH_SERVICES_MAX = 64,
    HEALTH_NAME_SIZE = 96,
    HEALTH_WATCHES_MAX = 1024
};

/* Adds its methods to the server; "" begins as not serving. */
struct health *health_new(struct server *server);
/* Before or after server_free, but after its calls were cancelled or drained. */
void health_free(struct health *health);
/* Declares or changes a service ("indaba.v1.Shards", "leader"); watchers are told of changes.
 * Beyond HEALTH_SERVICES_MAX names nothing happens. */
void health_set(struct health *health, const char *service, bool serving);

#endif
