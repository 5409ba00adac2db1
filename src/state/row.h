/* SPDX-License-Identifier: Apache-2.0 */
/* Rows of the tables as bytes, base/buf.h codec, each led by a format version. Deterministic. The
 * rows are our own: one that cannot be read is a damaged store, and decoding ends the process. */
#ifndef INDABA_STATE_ROW_H
#define INDABA_STATE_ROW_H

#include "model/records.h"

enum {
    ROW_VERSION = 1,
    ROW_VERSION_MARKS = 2,  /* of shards and failovers: with start nonce and marks */
    ROW_VERSION_LAPSE = 3,  /* … and with what was not in force */
    ROW_VERSION_TRIED = 4,  /* of failovers and instances: with what failed before */
    ROW_VERSION_BRANCH = 5, /* of shards: with what was left behind */
};

/* A shard with what belongs to it by id. */
struct shard_row {
    struct shard shard;
    uint64_t failover_id; /* the last one; 0 if never one */
    struct instance_id instances[SHARD_INSTANCES_MAX];
    uint32_t instances_count;
};

void row_put_region(struct buf *buf, const struct region *region);
void row_get_region(struct slice bytes, struct region *region_out);
void row_put_member(struct buf *buf, const struct member *member);
void row_get_member(struct slice bytes, struct member *member_out);
void row_put_shard(struct buf *buf, const struct shard_row *row);
void row_get_shard(struct slice bytes, struct shard_row *row_out);
void row_put_instance(struct buf *buf, const struct instance *instance);
void row_get_instance(struct slice bytes, struct instance *instance_out);
void row_put_failover(struct buf *buf, const struct failover *failover);
void row_get_failover(struct slice bytes, struct failover *failover_out);

#endif
