/* SPDX-License-Identifier: Apache-2.0 */
/* Sidecars/Confirm <-> proto/indaba/v1/sidecars.proto, as a sidecar sees it. */
#ifndef INDABA_WIRE_WIRE_CONFIRM_H
#define INDABA_WIRE_WIRE_CONFIRM_H

#include "base/buf.h"
#include "model/records.h"

struct wire_confirm_member {
    struct member_id id;
    char name[NAME_SIZE];
    char api_address[ADDRESS_SIZE];
};

struct wire_confirm {
    struct cluster_id cluster;
    struct wire_confirm_member members[MEMBERS_MAX];
    uint32_t members_count;
    uint32_t cluster_epoch;
    struct epoch epoch;
    enum shard_mode mode; /* 0: the member knows no such shard */
};

void wire_confirm_ask(const char *shard, struct buf *out);
MUST_CHECK enum error wire_confirm_decode(struct slice bytes, struct wire_confirm *confirm_out);

#endif
