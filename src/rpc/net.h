/* SPDX-License-Identifier: Apache-2.0 */
/* What all connections of one loop share: the read buffers (one pair per loop, so that ten thousand
 * idle connections hold none), the list of streams whose writes go out together before the loop
 * sleeps, and the list of every socket, for the moment before an abort. One thread owns the loop
 * and calls everything in rpc/. Nothing here resolves names: addresses are numeric. */
#ifndef INDABA_RPC_NET_H
#define INDABA_RPC_NET_H

#include "base/error.h"
#include "base/reason.h"

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <sys/queue.h>

struct uv_loop_s;
struct net;
struct h2_pool;

/* Why a connection ended, for people; a `struct reason` says why something could not be done. */
enum {
    NET_DETAIL_SIZE = 256,
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

/* Who gathers what is asked of him in a turn of the loop, and brings it together before the loop
 * sleeps, in the order of the stages; what streams were given to send leaves after all of them. */
enum net_stage {
    NET_STAGE_SERVICES, /* those who serve clients: what they bring is asked of the next */
    NET_STAGE_PORTS,    /* hand over to the core */
    NET_STAGE_CORE,     /* keeps promises */
    NET_STAGES
};

struct net_sleeper {
    TAILQ_ENTRY(net_sleeper) others;
    enum net_stage stage; /* set by net_before_sleep */
    /* True if there was anything: then all are asked again in this turn, for a bounded number of
     * times; what is left keeps the loop awake. */
    bool (*bring)(void *ctx);
    void *ctx;
};

/* The sleeper is the caller's, and stays where it is until net_before_sleep_no_more. Of one stage,
 * who came first brings first. Inside of `bring` only itself may be ended. */
void net_before_sleep(struct net *net, enum net_stage stage, struct net_sleeper *sleeper);
void net_before_sleep_no_more(struct net *net, struct net_sleeper *sleeper);

/* "10.0.0.1:7400" or "[fd00::1]:7400"; ports 0 to 65535. ERR_INVALID for names and other forms. */
MUST_CHECK enum error net_check_address(const char *address);
/* Whether that address is one of this host ("10.0.0.1", "fd00::1"). */
bool net_is_host(const char *address, const char *host);
/* True for 127.0.0.0/8 and ::1. False for what is no address. */
bool net_is_loopback(const char *address);

#endif
