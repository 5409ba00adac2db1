/* SPDX-License-Identifier: Apache-2.0 */
/* Waiting for a condition, with a deadline: never for a fixed time. */
#ifndef INDABA_SUPPORT_SUPPORT_WAIT_H
#define INDABA_SUPPORT_SUPPORT_WAIT_H

#include <stdbool.h>
#include <stdint.h>

/* Asks again and again until `condition(ctx)` holds. False when `timeout_ms` has passed first. */
bool support_wait_until(bool (*condition)(void *ctx), void *ctx, uint64_t timeout_ms);

#endif
