/* SPDX-License-Identifier: Apache-2.0 */
/* The layout of a COMMAND_KV: a zero byte, a version, the leader's term and wall clock (8 bytes
 * each, little-endian), then the batch to the end. Internal to wire_command*. */
#ifndef INDABA_WIRE_WIRE_COMMAND_KV_H
#define INDABA_WIRE_WIRE_COMMAND_KV_H

#include "base/buf.h"
#include "state/command.h"

/* Whether the bytes are such a command, or want to be one. */
bool wire_command_kv_is(struct slice bytes);
void wire_command_kv_encode(const struct command *command, struct buf *out);
/* As wire_command_decode. */
MUST_CHECK enum error wire_command_kv_decode(struct slice bytes, struct command *command_out);

#endif
