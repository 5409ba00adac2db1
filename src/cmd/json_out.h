/* SPDX-License-Identifier: Apache-2.0 */
/* Any message of the public API as JSON, by its descriptor: names as in the .proto files, 64-bit
 * integers as decimal strings (as proto3's JSON has them: most readers of JSON keep 53 bits), bytes
 * as hex, a oneof by the field that is set. One shape for all --json. */
#ifndef INDABA_CMD_JSON_OUT_H
#define INDABA_CMD_JSON_OUT_H

#include "base/buf.h"

#include <protobuf-c/protobuf-c.h>

/* Appends the message as indented JSON and a newline. */
void json_out_message(const ProtobufCMessage *message, struct buf *out);

#endif
