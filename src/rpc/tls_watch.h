/* SPDX-License-Identifier: Apache-2.0 */
/* Keeps a `tls` as its files are: looks at them now and then, and when it is told to, and reads
 * those that changed. On a thread of libuv's pool, since they may lie on a disk that hangs; only
 * what was read and proved whole is put in force, on the loop. Says how that went in the log. */
#ifndef INDABA_RPC_TLS_WATCH_H
#define INDABA_RPC_TLS_WATCH_H

#include "rpc/tls.h"

struct tls_watch;

/* `tls` must outlive it. */
struct tls_watch *tls_watch_new(struct uv_loop_s *loop, struct tls *tls);
/* Reads them whether they changed or not. */
void tls_watch_now(struct tls_watch *watch);
/* Ends in the loop's next turns; what is being read is finished and dropped. NULL is ignored. */
void tls_watch_free(struct tls_watch *watch);

#endif
