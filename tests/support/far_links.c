/* SPDX-License-Identifier: Apache-2.0 */
/* The fate of packets between hosts that are far apart: far_links.h. */
#include "tests/support/far_links.h"

#include "base/check.h"

#include <string.h>

#define US_PER_S UINT64_C(1000000)

void far_links_init(struct far_links *links, uint32_t hosts_count, uint64_t seed)
{
    CHECK(hosts_count <= FAR_HOSTS_MAX);
    memset(links, 0, sizeof(*links));
    links->hosts_count = hosts_count;
    prng_init_stream(&links->dice, seed, "far_links");
}

/* The time at which the line has sent it: one packet after the other. */
static uint64_t sent_at(struct far_link *link, size_t bytes, uint64_t now_us)
{
    if (link->bytes_per_s == 0) {
        return now_us;
    }
    if (link->free_at_us < now_us) {
        link->free_at_us = now_us;
    }
    link->free_at_us += (uint64_t)bytes * US_PER_S / link->bytes_per_s;
    return link->free_at_us;
}

bool far_links_pass(struct far_links *links,
                    const uint32_t ends[2],
                    size_t bytes,
                    uint64_t now_us,
                    uint64_t *due_us_out)
{
    CHECK(ends[0] < links->hosts_count && ends[1] < links->hosts_count);
    struct far_link *link = &links->links[ends[0]][ends[1]];

    if (link->cut) {
        links->cut++;
        return false;
    }
    bool full = link->bytes_per_s != 0 && link->free_at_us > now_us + FAR_QUEUE_US_MAX;
    if (full || (link->loss_ppm != 0 && prng_below(&links->dice, US_PER_S) < link->loss_ppm)) {
        links->lost++;
        return false;
    }
    uint64_t due = sent_at(link, bytes, now_us) + link->delay_us;
    if (link->jitter_us != 0) {
        due += prng_below(&links->dice, link->jitter_us + 1);
    }
    if (due < link->last_due_us) {
        due = link->last_due_us;
    }
    link->last_due_us = due;
    links->passed++;
    *due_us_out = due;
    return true;
}

void far_links_heal(struct far_links *links)
{
    for (uint32_t from = 0; from < links->hosts_count; from++) {
        for (uint32_t to = 0; to < links->hosts_count; to++) {
            links->links[from][to].cut = false;
        }
    }
}
