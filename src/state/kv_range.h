/* SPDX-License-Identifier: Apache-2.0 */
/* Reading ranges, for transactions and for kv_range. Internal to state/kv_*. */
#ifndef INDABA_STATE_KV_RANGE_H
#define INDABA_STATE_KV_RANGE_H

#include "state/kv_rows.h"

/* Whether a read at this revision can be answered; 0 and below stand for now. */
enum kv_error kv_revision_check(const struct kv_position *position, int64_t revision);

/* As kv_range, of a request that was checked; sees what the running transaction did. Leaves
 * result->revision 0. */
void kv_range_run(const struct tables *tables,
                  const struct kv_op_range *request,
                  struct kv_range_result *result_out,
                  kv_visit visit,
                  void *visit_ctx);

#endif
