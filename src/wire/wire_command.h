/* SPDX-License-Identifier: Apache-2.0 */
/* Commands of the replicated state machine <-> proto/indaba/internal/command.proto. The encoding is
 * what the log and the ledger hold, byte for byte; it is made once, by the proposer, and never made
 * again from a decoded command. The one exception from protobuf is COMMAND_KV, of which there are
 * many, and large ones (wire_command_kv.c): its bytes begin with a zero, which no message does. */
#ifndef INDABA_WIRE_WIRE_COMMAND_H
#define INDABA_WIRE_WIRE_COMMAND_H

#include "base/buf.h"
#include "state/command.h"

enum {
    WIRE_COMMAND_VERSION = 1
};

/* Appends the encoded command. */
void wire_command_encode(const struct command *command, struct buf *out);

/* ERR_PROTOCOL for bytes that are no command or break a limit of the structs, ERR_VERSION for a
 * version or kind that this program does not know. The batch of a COMMAND_KV is borrowed from
 * `bytes`; all else is copied. */
MUST_CHECK enum error wire_command_decode(struct slice bytes, struct command *command_out);

#endif
