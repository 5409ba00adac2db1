/* SPDX-License-Identifier: Apache-2.0 */
/* What happens to a packet between two hosts that are far apart: it is lost, or it arrives later.
 * Each direction of each pair is a link of its own with a delay, jitter, loss, a bandwidth, and a
 * cut; packets of a link keep their order. Pure: time and the seed come in. */
#ifndef INDABA_TESTS_SUPPORT_FAR_LINKS_H
#define INDABA_TESTS_SUPPORT_FAR_LINKS_H

#include "base/prng.h"

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

enum {
    FAR_HOSTS_MAX = 16,
    FAR_QUEUE_US_MAX = 2000000, /* what waits longer for its turn is dropped, as by a full router */
};

struct far_link {
    uint64_t delay_us;
    uint64_t jitter_us;   /* uniform, on top */
    uint32_t loss_ppm;    /* of packets */
    uint64_t bytes_per_s; /* 0: no bound */
    bool cut;
    uint64_t free_at_us; /* when the line has let through what it was given */
    uint64_t last_due_us;
};

struct far_links {
    uint32_t hosts_count;
    struct far_link links[FAR_HOSTS_MAX][FAR_HOSTS_MAX]; /* [from][to] */
    struct prng dice;
    uint64_t passed;
    uint64_t lost; /* by loss and by full queues */
    uint64_t cut;
};

void far_links_init(struct far_links *links, uint32_t hosts_count, uint64_t seed);

/* True if the packet arrives, and when: never before one that left the same host for the same other
 * one earlier. */
bool far_links_pass(struct far_links *links,
                    const uint32_t ends[2], /* from, to */
                    size_t bytes,
                    uint64_t now_us,
                    uint64_t *due_us_out);

/* Undoes every cut; delays stay. */
void far_links_heal(struct far_links *links);

#endif
