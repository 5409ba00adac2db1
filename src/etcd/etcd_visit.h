/* SPDX-License-Identifier: Apache-2.0 */
/* Visits of the apply thread, a few at a time: see etcd_visit.c. */
#ifndef INDABA_ETCD_ETCD_VISIT_H
#define INDABA_ETCD_ETCD_VISIT_H

#include "etcd/etcd_op.h"

void etcd_visits_init(struct etcd *etcd);
void etcd_visits_deinit(struct etcd *etcd);
/* `run_fn` on the apply thread, when it is its turn, then `done` here. What it saw includes the
 * entries up to `seen_index`. */
typedef void (*etcd_visited_fn)(void *ctx, uint64_t seen_index);
void etcd_visit(struct etcd *etcd,
                void (*run_fn)(const struct tables *tables, void *ctx),
                etcd_visited_fn done,
                void *ctx);
/* Whether others wait for their turn: what comes now had better wait to go together. */
bool etcd_visits_wait(const struct etcd *etcd);
void etcd_visits_check_invariants(const struct etcd *etcd);

#endif
