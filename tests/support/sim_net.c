/* SPDX-License-Identifier: Apache-2.0 */
/* Draws the fate of each message from its link. */
#include "tests/support/sim_net.h"

#include "base/check.h"

void sim_net_init(struct sim_net *net, uint64_t seed, struct sim_link link)
{
    *net = (struct sim_net){0};
    prng_init_stream(&net->prng, seed, "net");
    sim_net_set_all(net, link);
}

void sim_net_set_all(struct sim_net *net, struct sim_link link)
{
    CHECK(link.delay_min <= link.delay_max);
    for (uint32_t from = 0; from <= SIM_NODES_MAX; from++) {
        for (uint32_t to = 0; to <= SIM_NODES_MAX; to++) {
            net->links[from][to] = link;
        }
    }
}

void sim_net_set_cut(struct sim_net *net, uint32_t from, uint32_t to, bool cut)
{
    CHECK(from <= SIM_NODES_MAX && to <= SIM_NODES_MAX);
    net->links[from][to].cut = cut;
}

void sim_net_heal(struct sim_net *net)
{
    for (uint32_t from = 0; from <= SIM_NODES_MAX; from++) {
        for (uint32_t to = 0; to <= SIM_NODES_MAX; to++) {
            net->links[from][to].cut = false;
        }
    }
}

uint32_t
sim_net_plan(struct sim_net *net, uint32_t from, uint32_t to, uint64_t delays_out[SIM_COPIES_MAX])
{
    CHECK(from <= SIM_NODES_MAX && to <= SIM_NODES_MAX);
    const struct sim_link *link = &net->links[from][to];
    /* Drawn always, so that a cut does not shift every later draw. */
    bool lost = prng_chance(&net->prng, link->loss_permille);
    bool twice = prng_chance(&net->prng, link->duplicate_permille);
    for (uint32_t i = 0; i < SIM_COPIES_MAX; i++) {
        delays_out[i] = prng_between(&net->prng, link->delay_min, link->delay_max);
    }
    if (link->cut || lost) {
        return 0;
    }
    return twice ? SIM_COPIES_MAX : 1;
}
