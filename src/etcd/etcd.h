/* SPDX-License-Identifier: Apache-2.0 */
/* etcd's v3 API on a member: KV, Watch, Lease, Cluster, Maintenance (proto/etcd). Requests may be
 * made of any member. Everything runs on the loop thread, save what reads the store. */
#ifndef INDABA_ETCD_ETCD_H
#define INDABA_ETCD_ETCD_H

#include "api/front.h"
#include "base/reason.h"

struct etcd;

/* Adds its methods to the front's server, and listens on listen.bench_without_tls if the
 * configuration has it. Errors as server_new. */
MUST_CHECK enum error etcd_new(struct front *front, struct reason *reason, struct etcd **etcd_out);
/* Ends watches and streams, refuses what still waits. After it only calls in the middle of
 * something are left, which server_free cancels. */
void etcd_drain(struct etcd *etcd);
/* After front_cut, so that no call is left. Its handles close in the loop's next turn. NULL is
 * allowed. */
void etcd_free(struct etcd *etcd);
/* What must hold between any two events; looked at now and then as it runs. */
void etcd_check_invariants(const struct etcd *etcd);

#endif
