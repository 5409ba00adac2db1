/* SPDX-License-Identifier: Apache-2.0 */
/* The network of a simulation: directed links with delay, loss, duplication and cuts. It plans; the
 * owner carries the messages. Nodes are numbered from 1. */
#ifndef INDABA_TESTS_SUPPORT_SIM_NET_H
#define INDABA_TESTS_SUPPORT_SIM_NET_H

#include "base/prng.h"

enum {
    SIM_NODES_MAX = 16,
    SIM_COPIES_MAX = 2,
};

struct sim_link {
    bool cut;
    uint64_t delay_min; /* unequal bounds reorder messages */
    uint64_t delay_max;
    uint32_t loss_permille;
    uint32_t duplicate_permille;
};

struct sim_net {
    struct prng prng;
    struct sim_link links[SIM_NODES_MAX + 1][SIM_NODES_MAX + 1]; /* from, to */
};

/* All links alike: `link`. */
void sim_net_init(struct sim_net *net, uint64_t seed, struct sim_link link);
void sim_net_set_all(struct sim_net *net, struct sim_link link);
void sim_net_set_cut(struct sim_net *net, uint32_t from, uint32_t to, bool cut);
void sim_net_heal(struct sim_net *net);
/* How many copies of a message arrive, and each one's delay. */
uint32_t
sim_net_plan(struct sim_net *net, uint32_t from, uint32_t to, uint64_t delays_out[SIM_COPIES_MAX]);

#endif
