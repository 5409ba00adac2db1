/* SPDX-License-Identifier: Apache-2.0 */
/* A COMMAND_KV is applied: each operation of its batch in turn, each by itself. */
#ifndef INDABA_STATE_KV_APPLY_H
#define INDABA_STATE_KV_APPLY_H

#include "state/change.h"
#include "state/kv_reply.h"

/* ERR_PROTOCOL, and nothing is changed, for bytes that are no batch or too many operations.
 * Operations that are refused say so in their replies. `replies` may be NULL. `ops_out` counts the
 * operations, for the ledger. */
MUST_CHECK enum error
kv_apply(struct change *change, struct slice batch, struct buf *replies, uint32_t *ops_out);

#endif
