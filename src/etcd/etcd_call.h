/* SPDX-License-Identifier: Apache-2.0 */
/* Calls of etcd's clients. */
#ifndef INDABA_ETCD_ETCD_CALL_H
#define INDABA_ETCD_ETCD_CALL_H

#include "etcd/etcd_op.h"

struct etcd_binding {
    struct etcd *etcd;
    const struct etcd_method *method;
};

/* Unary methods, as server.h wants them; the ctx is an etcd_binding. */
void etcd_call_on_message(struct server_call *call, struct slice message, void *ctx);
/* Ends the call with an error if it may not use this API, or wants a leader while none is known. */
bool etcd_call_may_begin(struct etcd *etcd, struct server_call *call);
/* Its client said `hasleader: true`: what it asks for is refused, and what it watches ends, while
 * this member knows no leader. */
bool etcd_call_needs_leader(const struct server_call *call);
void etcd_call_fail(struct server_call *call, enum etcd_error error);

#endif
