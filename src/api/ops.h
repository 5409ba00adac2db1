/* SPDX-License-Identifier: Apache-2.0 */
/* The HTTP port of a member: /metrics (Prometheus), /healthz, /readyz (with reasons) and
 * /status.json. Reading needs no certificate; plain on loopback, TLS elsewhere. */
#ifndef INDABA_API_OPS_H
#define INDABA_API_OPS_H

#include "api/api.h"
#include "base/reason.h"

struct ops;

struct ops_options {
    struct net *net;
    struct tls *tls;
    struct node
        *node; /* node, front and api outlive the ops, and its last page is made before front_cut */
    struct front *front;
    struct api *api;
};

/* Listens at once. Errors as stream_listen. */
MUST_CHECK enum error
ops_new(const struct ops_options *options, struct reason *reason, struct ops **ops_out);
/* From now on /readyz says no. */
void ops_set_draining(struct ops *ops);
void ops_free(struct ops *ops);

#endif
