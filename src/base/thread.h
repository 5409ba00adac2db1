/* SPDX-License-Identifier: Apache-2.0 */
/* Threads beside the loop: named, so that `top -H` and profiles tell them apart, and deaf to
 * signals, which are for the loop thread. */
#ifndef INDABA_BASE_THREAD_H
#define INDABA_BASE_THREAD_H

#include "base/error.h"

#include <pthread.h>
#include <stddef.h>

/* Starts `run(ctx)` on a thread that the caller joins. `name` has at most 15 bytes (as the kernel
 * keeps it). ERR_EXHAUSTED, ERR_SYSTEM: there is no thread. */
MUST_CHECK enum error
thread_start(const char *name, void *(*run)(void *ctx), void *ctx, pthread_t *thread_out);
/* The same with a stack of that size, for a thread whose memory counts. */
MUST_CHECK enum error thread_start_sized(const char *name,
                                         size_t stack_bytes,
                                         void *(*run)(void *ctx),
                                         void *ctx,
                                         pthread_t *thread_out);

#endif
