/* SPDX-License-Identifier: Apache-2.0 */
/* Whom an operator named: could that one take over, by what is heard of it now? Pure. */
#ifndef INDABA_DECIDE_FAILOVER_WISH_H
#define INDABA_DECIDE_FAILOVER_WISH_H

#include "decide/failover_planner.h"

/* Heard within a moment, running as a standby of its own folder, on the shard's history. False with
 * what speaks against it in `why_out` (TEXT_SIZE bytes). */
bool failover_target_is_ready(const struct plan_input *input, char *why_out);

#endif
