/* SPDX-License-Identifier: Apache-2.0 */
/* Tests of what must never happen: run it in a child and look how the child ended. */
#ifndef INDABA_SUPPORT_SUPPORT_ABORT_H
#define INDABA_SUPPORT_SUPPORT_ABORT_H

#include <stdbool.h>
#include <stddef.h>

/* True if `function(ctx)`, run in a forked child, ends in abort(), as by a failed CHECK. What the
 * child wrote to stderr is put into `text` (`size` bytes, NUL included), which may be NULL. */
bool support_aborts(void (*function)(void *ctx), void *ctx, char *text, size_t size);

#endif
