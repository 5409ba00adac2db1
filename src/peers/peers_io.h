/* SPDX-License-Identifier: Apache-2.0 */
/* All that the links to the others ask of the outside, and all that they are told. They are a state
 * machine of one thread, as the core of a node is (node/node_io.h): no socket, no clock, no loop;
 * the same ones run on streams (peers_uv.c) and over the network of the simulator (tests/sim).
 *
 * No function of struct peers_io calls back: what it begins ends later, in a call of its own. */
#ifndef INDABA_PEERS_PEERS_IO_H
#define INDABA_PEERS_PEERS_IO_H

#include "base/buf.h"
#include "base/error.h"
#include "wire/wire_peer.h"

enum {
    /* A handshake, and all that comes back on a link: texts of a few hundred bytes. Whoever has not
     * said who it is gets no more memory than that. */
    PEER_SMALL_FRAME_MAX = 4096,
};

_Static_assert((int)PEER_SMALL_FRAME_MAX >= 2 * (WIRE_REFUSAL_SIZE + NAME_SIZE + ADDRESS_SIZE),
               "a handshake fits");

struct peers;
struct peer_link;
struct peer_inbound;
/* A connection: the outside's. It is there until it was told to have ended, or was forgotten. */
struct peer_conn;

/* Who is at the other end, by what nobody can make up. Holds as long as the connection. */
struct peer_party {
    const char *identity; /* of its certificate, … */
    const char *path;     /* … and its path: "/member/NAME" */
    const char *address;  /* "" while unknown */
};

struct peers_io {
    uint64_t (*now_ns)(void *ctx); /* monotonic */
    /* peers_timer is to be called then, and not for what was said before; UINT64_MAX: never. */
    void (*arm_timer)(void *ctx, uint64_t deadline_ms);
    /* Begins to dial; goes on with peer_link_opened or ends with peer_link_closed. ERR_INVALID for
     * an address that cannot be dialled: then there is no connection. */
    MUST_CHECK enum error (*dial)(void *ctx,
                                  struct peer_link *link,
                                  enum wire_lane lane,
                                  const char *address,
                                  struct peer_conn **conn_out);
    /* One frame. Errors as stream_write: the connection is as it was, without it. */
    MUST_CHECK enum error (*write)(struct peer_conn *conn, uint8_t type, struct slice payload);
    size_t (*queued_bytes)(const struct peer_conn *conn);
    struct peer_party (*party)(const struct peer_conn *conn);
    /* At once; what is queued is sent first; at once, and nothing is told of it any more. */
    void (*close)(struct peer_conn *conn);
    void (*finish)(struct peer_conn *conn);
    void (*forget)(struct peer_conn *conn);
};

/* Why a connection ended; valid during the call. */
struct peer_end {
    bool refused; /* the host answered that nobody listens: evidence */
    const char *why;
    const char *detail; /* NULL or a text for people */
};

void peers_timer(struct peers *peers);

/* What we dialled: it stands, and the certificate is in order; a frame came, false: nothing more of
 * it is told but its end; it has ended. */
void peer_link_opened(struct peer_link *link);
MUST_CHECK bool peer_link_frame(struct peer_link *link, uint8_t type, struct slice payload);
void peer_link_closed(struct peer_link *link, const struct peer_end *end);

/* What dials us, the same. Frames may be of any size once it is known who speaks, and of
 * PEER_SMALL_FRAME_MAX before; of one that is larger nothing is told but that. */
struct peer_inbound *peer_inbound_accepted(struct peers *peers, struct peer_conn *conn);
MUST_CHECK bool
peer_inbound_frame(struct peer_inbound *inbound, uint8_t type, struct slice payload);
bool peer_inbound_is_known(const struct peer_inbound *inbound);
void peer_inbound_too_large(struct peer_inbound *inbound);
void peer_inbound_closed(struct peer_inbound *inbound);

/* Whether one of the addresses that are dialled is `is`. */
bool peers_any_address(const struct peers *peers,
                       bool (*is)(const char *address, const void *ctx),
                       const void *ctx);

#endif
