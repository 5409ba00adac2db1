/* SPDX-License-Identifier: Apache-2.0 */
/* Connections between members, as TCP and TLS make them: what the links of production
 * (peers/peers_io.h) stand on in the simulated world. Plain data; sim_pipe.c has what happens. */
#ifndef INDABA_TESTS_SIM_SIM_PIPE_H
#define INDABA_TESTS_SIM_SIM_PIPE_H

#include "peers/peers_io.h"

#include <sys/queue.h>

enum {
    SIM_IDENTITY_SIZE = 96,
};

struct sim;

/* One end, in the hands of one process. */
struct peer_conn {
    struct sim_pipe *pipe;
    uint32_t node;
    uint64_t generation; /* of that process */
    bool there;          /* until it was told that this is over, or let go */
    bool opened;
    bool closing;
    uint64_t stuck_us; /* since then nothing that it sends arrives; 0: it does */
    uint64_t heard_us;
    struct peer_link *link;       /* the one that dialled, else … */
    struct peer_inbound *inbound; /* … */
    char identity[SIM_IDENTITY_SIZE];
};

struct sim_pipe {
    TAILQ_ENTRY(sim_pipe) others;
    struct sim *sim;
    uint32_t refs;            /* of ends, and of parcels under way */
    struct peer_conn ends[2]; /* who dialled, who accepted */
    uint64_t last_us[2];      /* what keeps its order arrives at that end not before */
    uint32_t incarnation;     /* of the member that was dialled */
    bool stranger;            /* who dialled is nobody of the world, … */
    struct member_id who;     /* … and says that he is this one */
};

TAILQ_HEAD(sim_pipes, sim_pipe);

enum sim_parcel_kind {
    PARCEL_DIALLED,
    PARCEL_TOO_LATE, /* what was dialled has to stand by now */
    PARCEL_OPENED,
    PARCEL_FRAME,
    PARCEL_CLOSED,
};

/* What is under way to one end. */
struct sim_parcel {
    struct sim_pipe *pipe;
    enum sim_parcel_kind kind;
    uint32_t to;  /* which end */
    bool waits;   /* not sent yet: the way is cut */
    bool refused; /* CLOSED */
    const char *why;
    uint8_t type; /* FRAME */
    size_t len;
    uint8_t bytes[];
};

#endif
