/* SPDX-License-Identifier: Apache-2.0 */
/* Distinct types for identities, so that a shard cannot be passed where a region is meant. Plain
 * data; zero means "none" in each of them. Terms and indexes of Raft are plain uint64_t named
 * `term` and `index`. */
#ifndef INDABA_BASE_IDS_H
#define INDABA_BASE_IDS_H

#include "base/error.h"

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

/* 128 random bits; text form is 32 lower-case hex digits. */
struct cluster_id {
    uint64_t hi;
    uint64_t lo;
};

/* 128 random bits, made when a member's data folder is formatted. */
struct member_id {
    uint64_t hi;
    uint64_t lo;
};

/* Assigned by the state machine, dense from 1. */
struct region_id {
    uint32_t value;
};

struct shard_id {
    uint32_t value;
};

struct instance_id {
    uint32_t value;
};

/* Random; made with each data folder of a database (initdb, base backup, restore). */
struct incarnation {
    uint64_t value;
};

/* Per shard, the ballot that grows with every attempt to change the primary. */
struct epoch {
    uint64_t value;
};

/* A client's request, a UUID version 7 (RFC 9562, section 5.7): its first 48 bits are the wall
 * clock in milliseconds at which the client made it. */
struct request_id {
    uint64_t hi;
    uint64_t lo;
};

enum {
    ID128_TEXT_SIZE = 33
};

static inline bool member_id_equal(struct member_id a, struct member_id b)
{
    return a.hi == b.hi && a.lo == b.lo;
}

static inline bool member_id_is_none(struct member_id id)
{
    return id.hi == 0 && id.lo == 0;
}

static inline bool cluster_id_equal(struct cluster_id a, struct cluster_id b)
{
    return a.hi == b.hi && a.lo == b.lo;
}

/* Total order, for sorting: negative, 0 or positive. */
int member_id_compare(struct member_id a, struct member_id b);

/* Writes 32 hex digits and a NUL into `text`, which holds ID128_TEXT_SIZE bytes; returns `text`. */
char *id128_format(uint64_t hi, uint64_t lo, char *text);

/* Reads exactly 32 hex digits. ERR_INVALID otherwise. */
MUST_CHECK enum error id128_parse(const char *text, uint64_t *hi_out, uint64_t *lo_out);

/* Fills from the kernel's random source; ends the process if there is none. */
void id128_random(uint64_t *hi_out, uint64_t *lo_out);

/* A new request id for a request made at `wall_ms`, its other bits random. */
struct request_id request_id_new(uint64_t wall_ms);

/* The wall clock inside a request id, in milliseconds. */
uint64_t request_id_wall_ms(struct request_id id);

#endif
