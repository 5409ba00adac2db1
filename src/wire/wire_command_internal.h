/* SPDX-License-Identifier: Apache-2.0 */
/* What the files of wire_command share: a codec for each body that commands carry. Those of shards
 * are in wire_command_encode.c and wire_command_decode.c, those of members and the cluster, both
 * ways, in wire_command_cluster.c. Each decoder begins with NEED_BODY. */
#ifndef INDABA_WIRE_WIRE_COMMAND_INTERNAL_H
#define INDABA_WIRE_WIRE_COMMAND_INTERNAL_H

#include "indaba/internal/command.pb-c.h"
#include "wire/arena.h"
#include "wire/wire_command.h"
#include "wire/wire_text.h"

typedef Indaba__Internal__Command pb_command;

/* Fails the decoder and leaves unless the message carries the body that its kind needs. */
#define NEED_BODY(BODY)                                                     \
    do {                                                                    \
        if (message->body_case != INDABA__INTERNAL__COMMAND__BODY_##BODY) { \
            wire_require(check, false);                                     \
            return;                                                         \
        }                                                                   \
    } while (0)

#define X(UPPER, lower)                                                                     \
    void wire_encode_##lower(                                                               \
        struct wire_arena *arena, const struct command_##lower *body, pb_command *message); \
    void wire_decode_##lower(                                                               \
        struct wire_check *check, const pb_command *message, struct command_##lower *to);
COMMAND_BODY_TABLE(X)
#undef X

void wire_command_encode_member(Indaba__Internal__Member *to, const struct member *member);
void wire_command_decode_member(struct wire_check *check,
                                const Indaba__Internal__Member *from,
                                struct member *to);

#endif
