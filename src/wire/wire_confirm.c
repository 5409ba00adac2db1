/* SPDX-License-Identifier: Apache-2.0 */
/* See wire_confirm.h. */
#include "wire/wire_confirm.h"

#include "indaba/v1/sidecars.pb-c.h"
#include "wire/wire_text.h"

#include <string.h>

static enum error decode(const Indaba__V1__ConfirmResponse *from, struct wire_confirm *confirm_out);
static void read_id(struct wire_check *check, const char *text, uint64_t *hi, uint64_t *lo);

void wire_confirm_ask(const char *shard, struct buf *out)
{
    Indaba__V1__ConfirmRequest request = INDABA__V1__CONFIRM_REQUEST__INIT;
    request.shard = wire_string(shard);
    wire_pack(&request.base, out);
}

enum error wire_confirm_decode(struct slice bytes, struct wire_confirm *confirm_out)
{
    struct wire_arena arena;
    wire_arena_init(&arena, wire_arena_cap_for(bytes.len));
    ProtobufCMessage *base = NULL;
    enum error error = wire_unpack(&indaba__v1__confirm_response__descriptor, bytes, &arena, &base);
    if (error == ERR_OK) {
        error = decode((const void *)base, confirm_out);
    }
    wire_arena_deinit(&arena);
    return error;
}

static enum error decode(const Indaba__V1__ConfirmResponse *from, struct wire_confirm *confirm_out)
{
    struct wire_check check = {.error = ERR_OK};
    struct wire_confirm to;
    memset(&to, 0, sizeof(to));
    if (from->header == NULL || from->n_members > MEMBERS_MAX || from->mode > SHARD_ASYNC) {
        return ERR_PROTOCOL;
    }
    read_id(&check, from->header->cluster_id, &to.cluster.hi, &to.cluster.lo);
    to.members_count = (uint32_t)from->n_members;
    to.cluster_epoch = from->cluster_epoch;
    to.epoch.value = from->epoch;
    to.mode = (enum shard_mode)from->mode;
    for (uint32_t i = 0; i < to.members_count; i++) {
        const Indaba__V1__KnownMember *member = from->members[i];
        read_id(&check, member->id, &to.members[i].id.hi, &to.members[i].id.lo);
        WIRE_COPY_TEXT(&check, to.members[i].name, member->name);
        WIRE_COPY_TEXT(&check, to.members[i].api_address, member->api_address);
    }
    TRY(check.error);
    *confirm_out = to;
    return ERR_OK;
}

static void read_id(struct wire_check *check, const char *text, uint64_t *hi, uint64_t *lo)
{
    wire_require(check, text != NULL && id128_parse(text, hi, lo) == ERR_OK);
}
