/* SPDX-License-Identifier: Apache-2.0 */
/* The role endpoints that HAProxy users know from Patroni, answered from what the agent knows now:
 *   /primary, /read-write   200 only while this instance is the open primary under a running lease
 *   /replica[?lag=BYTES]    200 for a streaming standby, at most so far behind in replay
 *   /read-only              either of the two
 *   /health                 200 while the database answers
 *   /liveness               200 while the sidecar runs
 *   /metrics                Prometheus text       /status   JSON
 * Everything else 404; 503 where the answer is no. GET, HEAD and OPTIONS. */
#ifndef INDABA_REPLICATION_ROLE_HTTP_H
#define INDABA_REPLICATION_ROLE_HTTP_H

#include "base/reason.h"
#include "replication/agent.h"
#include "rpc/http1.h"

struct role_http;

/* All of them must outlive the endpoints. */
struct role_http_options {
    struct net *net;
    struct tls *tls;
    const struct sidecar_config *config;
    const struct agent *agent;
};

/* Listens on config->http_address. Plain on loopback, TLS (no certificate needed to read)
 * elsewhere. Errors as http1_new. */
MUST_CHECK enum error role_http_new(const struct role_http_options *options,
                                    struct reason *reason,
                                    struct role_http **role_http_out);
void role_http_free(struct role_http *role_http);

#endif
