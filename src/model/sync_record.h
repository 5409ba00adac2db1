/* SPDX-License-Identifier: Apache-2.0 */
/* The sync record: pairs (S, W) of a set of standbys and how many of them must hold a write before
 * it is acknowledged. Normally one pair; two while a change is under way (joint, safety.md 3). A
 * standby is named by (instance, incarnation): a new data folder is a new standby. */
#ifndef INDABA_MODEL_SYNC_RECORD_H
#define INDABA_MODEL_SYNC_RECORD_H

#include "base/ids.h"

enum {
    SYNC_SET_MAX = 8,
    SYNC_PAIRS_MAX = 4, /* two in a change; more while one that cannot be confirmed is replaced */
};

struct sync_member {
    struct instance_id instance;
    struct incarnation incarnation;
};

struct sync_pair {
    struct sync_member members[SYNC_SET_MAX]; /* ascending by instance id */
    uint32_t members_count;
    uint32_t required; /* W >= 1 */
};

struct sync_record {
    struct sync_pair pairs[SYNC_PAIRS_MAX]; /* the newest last */
    uint32_t pairs_count;                   /* 0: asynchronous */
    uint64_t version;                       /* grows with every change of the newest pair */
};

bool sync_pair_contains(const struct sync_pair *pair, struct sync_member member);
bool sync_pair_equal(const struct sync_pair *a, const struct sync_pair *b);
/* Is this data folder named in any recorded pair? */
bool sync_record_contains(const struct sync_record *record, struct sync_member member);
/* True if the `count` distinct reporters satisfy R + W > |S| in every recorded pair: then no write
 * can be acknowledged without one of them, and every acknowledged write is held by one of them. */
bool sync_record_quorum(const struct sync_record *record,
                        const struct sync_member *reporters,
                        uint32_t count);
/* Adds or removes in place, keeping the order. ERR_LIMIT, ERR_EXISTS, ERR_NOT_FOUND. */
MUST_CHECK enum error sync_pair_add(struct sync_pair *pair, struct sync_member member);
MUST_CHECK enum error sync_pair_remove(struct sync_pair *pair, struct sync_member member);
/* ERR_INVALID if a pair is out of order, has duplicates or W < 1, or versions are 0 with pairs. */
MUST_CHECK enum error sync_record_validate(const struct sync_record *record);

enum {
    SYNC_NAME_SIZE = 64
};

/* The application_name of a standby, unique over all regions: "indaba_<shard>_<instance>_<16 hex>".
 */
char *sync_member_name(struct shard_id shard, struct sync_member member, char *text);

#endif
