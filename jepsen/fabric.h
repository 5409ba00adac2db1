/* SPDX-License-Identifier: Apache-2.0 */
/* The network between the hosts of a world: each host is a network namespace with one device, and
 * everything that leaves it comes to this program, which passes it on: later, or not at all. */
#ifndef INDABA_JEPSEN_FABRIC_H
#define INDABA_JEPSEN_FABRIC_H

#include "tests/support/far_links.h"

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

enum {
    FABRIC_NAME_MAX = 32,
    FABRIC_MTU = 1500,
};

struct fabric_host {
    char name[FABRIC_NAME_MAX];
    uint32_t address; /* as in packets */
    int device;
    int namespace_fd;
};

/* Makes a namespace with loopback and a device of this address, which reaches all of
 * 10.0.0.0/8. Ends the process with words if it may not. The namespace goes with its last process
 * and with `namespace_fd`. */
void fabric_host_make(struct fabric_host *host, const char *name, const char *address);

/* Packets under way, by the time at which they are due. */
struct fabric_packet {
    uint64_t due_us;
    uint64_t number; /* breaks ties: first in, first out */
    uint32_t to;
    uint32_t len;
    uint8_t *bytes; /* heap; belongs to the queue until it is taken */
};

struct fabric_queue {
    struct fabric_packet *items;
    size_t count;
    size_t cap;
    uint64_t next_number;
};

void fabric_queue_deinit(struct fabric_queue *queue);
/* Copies the bytes; false, and dropped, if too many are under way. */
bool fabric_queue_put(
    struct fabric_queue *queue, uint64_t due_us, uint32_t to, const void *bytes, uint32_t len);
/* The first one due at `now_us`; the caller frees its bytes. */
bool fabric_queue_take(struct fabric_queue *queue, uint64_t now_us, struct fabric_packet *out);
/* 0 if there is none. */
uint64_t fabric_queue_first_us(const struct fabric_queue *queue);

#endif
