/* SPDX-License-Identifier: Apache-2.0 */
/* Memory of HTTP/2 sessions. nghttp2 gives every session a frame buffer of 16 KiB, of which an idle
 * connection, or one with small messages, uses some hundred bytes. Here the session and its frame
 * buffer lie in one slot of pages that the kernel gives only when they are written, so that such a
 * connection holds one page and not five. All else that nghttp2 asks for comes from the heap.
 * The slots are the net's; h2_internal.h has what a session does with one. */
#ifndef INDABA_RPC_H2_MEMORY_H
#define INDABA_RPC_H2_MEMORY_H

/* The slots of one loop thread. */
struct h2_pool;

struct h2_pool *h2_pool_new(void);
/* Every memory from it must have been released. */
void h2_pool_free(struct h2_pool *pool);

#endif
