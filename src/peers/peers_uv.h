/* SPDX-License-Identifier: Apache-2.0 */
/* Links to the others over streams on a loop: mutual TLS, length-prefixed frames. */
#ifndef INDABA_PEERS_PEERS_UV_H
#define INDABA_PEERS_PEERS_UV_H

#include "base/reason.h"
#include "config/member_config.h"
#include "peers/peers_io.h"
#include "rpc/net.h"
#include "rpc/tls.h"

struct peers_uv;

/* Both outlive it. */
struct peers_uv *peers_uv_new(struct net *net, struct tls *tls);
/* For peers_options, with the peers_uv as their context. */
const struct peers_io *peers_uv_io(void);
/* Others can connect from now on, until it is freed. Errors as stream_listen. */
MUST_CHECK enum error peers_uv_listen(struct peers_uv *uv,
                                      struct peers *peers,
                                      const struct member_config *config,
                                      struct reason *reason);
/* After the peers. Memory goes in a later turn of the loop. */
void peers_uv_free(struct peers_uv *uv);

#endif
