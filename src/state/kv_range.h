/* SPDX-License-Identifier: Apache-2.0 */
/* Reading ranges, for transactions and for kv_range. Internal to state/kv_*. */
#ifndef INDABA_STATE_KV_RANGE_H
#define INDABA_STATE_KV_RANGE_H

#include "state/kv_rows.h"

/* Whether a read at this revision can be answered; 0 and below stand for now. */
enum kv_error kv_revision_check(const struct kv_position *position, int64_t revision);

/* Whether its order is that of the index, or of no account: then it can be read in parts. */
bool kv_range_is_streamed(const struct kv_op_range *request);

/* As kv_range, of a request that was checked, at cursor->revision; KV_NOW sees what the running
 * transaction did. Leaves result.revision alone. What is not streamed visits nothing if it is cut.
 */
void kv_range_run(const struct tables *tables,
                  const struct kv_op_range *request,
                  struct kv_cursor *cursor,
                  kv_visit visit,
                  void *visit_ctx);

#endif
