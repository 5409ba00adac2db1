/* SPDX-License-Identifier: Apache-2.0 */
/* What all connections of one loop share: the read buffers (one pair per loop, so that ten thousand
 * idle connections hold none), the list of streams whose writes go out together before the loop
 * sleeps, and the list of every socket, for the moment before an abort. One thread owns the loop
 * and calls everything in rpc/. Nothing here resolves names: addresses are numeric. */
#ifndef INDABA_RPC_NET_H
#define INDABA_RPC_NET_H

#include "base/error.h"

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

struct uv_loop_s;
struct net;
struct h2_pool;

/* Texts for people: what, where, what to do. Every `errmsg` argument in rpc/ holds this many bytes
 * and is written only on failure. */
enum {
    NET_ERRMSG_SIZE = 256,
    NET_ADDRESS_SIZE = 64
};

/* The loop must outlive the net. One per loop. SIGPIPE is ignored from then on in the whole
 * process; whoever starts programs gives them its default back. */
struct net *net_new(struct uv_loop_s *loop);
/* Every stream, listener, server and channel must be closed before (run the loop until their close
 * callbacks came). Its own handles close in the loop's next turn: run the loop once more, with
 * UV_RUN_DEFAULT, before uv_loop_close. */
void net_free(struct net *net);
struct uv_loop_s *net_loop(const struct net *net);
/* Memory for HTTP/2 sessions of this loop. */
struct h2_pool *net_h2_pool(const struct net *net);
/* Streams open now, those still in a handshake included. */
uint32_t net_streams_count(const struct net *net);
/* Shuts every socket of the process down with shutdown(2), listeners first: for the moments before
 * an abort, so that peers see the end at once even if a thread that hangs on a disk keeps the
 * process from going. From any thread: it goes by file descriptors and touches no structure. */
void net_shutdown_sockets(void);

/* "10.0.0.1:7400" or "[fd00::1]:7400"; ports 0 to 65535. ERR_INVALID for names and other forms. */
MUST_CHECK enum error net_check_address(const char *address);
/* Whether that address is one of this host ("10.0.0.1", "fd00::1"). */
bool net_is_host(const char *address, const char *host);
/* True for 127.0.0.0/8 and ::1. False for what is no address. */
bool net_is_loopback(const char *address);

#endif
