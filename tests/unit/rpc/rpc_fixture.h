/* SPDX-License-Identifier: Apache-2.0 */
/* One loop with its net, certificates made once per process, and waiting by running the loop. */
#ifndef INDABA_TESTS_RPC_FIXTURE_H
#define INDABA_TESTS_RPC_FIXTURE_H

#include "rpc/net.h"
#include "rpc/stream.h"
#include "rpc/tls.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
/* cmocka wants the four before it. */
#include <cmocka.h>
#include <uv.h>

struct rpc_fixture {
    uv_loop_t loop;
    struct net *net;
};

void rpc_start(struct rpc_fixture *fixture);
/* Runs until everything is closed; a handle left open fails the test. */
void rpc_stop(struct rpc_fixture *fixture);
/* Runs the loop until the flag is not 0; fails the test after 10 s, naming `what`. */
void rpc_run_until(struct rpc_fixture *fixture, const volatile uint32_t *flag, const char *what);
/* Runs the loop for so long: only to see that something does not happen. */
void rpc_run_for(struct rpc_fixture *fixture, uint64_t ms);

/* A folder with an authority and certificates: n1, n2 (members), ops (operator), double (two URI
 * names), nameless (none); and another authority's folder with its own n1. */
const char *rpc_certs(void);
const char *rpc_other_certs(void);
/* Identity `name` of a folder. */
struct tls *rpc_tls(const char *dir, const char *name);
/* A copy with mode 0600; what was there is replaced. */
void rpc_copy_file(const char *from_dir, const char *from, const char *to_dir, const char *to);

/* "127.0.0.1:port" in a ring of static texts. */
const char *rpc_address(uint16_t port);

/* A client that only counts and keeps bytes. */
struct rpc_peer {
    struct stream *stream;
    struct buf received;
    volatile uint32_t opened;
    volatile uint32_t closed;
    volatile uint32_t drained;
    enum stream_reason reason;
    char detail[NET_DETAIL_SIZE];
};

void rpc_peer_connect(struct rpc_fixture *fixture,
                      struct rpc_peer *peer,
                      uint16_t port,
                      const struct stream_options *options);
void rpc_peer_adopt(struct rpc_peer *peer, struct stream *stream);
void rpc_peer_send(struct rpc_peer *peer, const void *data, size_t len);
/* Runs until so many bytes have come. */
void rpc_peer_await(struct rpc_fixture *fixture, struct rpc_peer *peer, size_t len);

#endif
