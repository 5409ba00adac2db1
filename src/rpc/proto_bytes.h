/* SPDX-License-Identifier: Apache-2.0 */
/* Protobuf's wire format by hand, for the few small messages that this floor speaks itself (rich
 * errors, reflection): fields of the kinds "varint" and "bytes" written, any field skipped over.
 * Pure. */
#ifndef INDABA_RPC_PROTO_BYTES_H
#define INDABA_RPC_PROTO_BYTES_H

#include "base/buf.h"

void proto_put_varint(struct buf *out, uint64_t value);
void proto_put_number(struct buf *out, uint32_t field, uint64_t value);
void proto_put_bytes(struct buf *out, uint32_t field, struct slice bytes);
/* Leaves an empty text out, as proto3 does. */
void proto_put_text(struct buf *out, uint32_t field, const char *text);

/* Takes the next field off `in`. `bytes_out` is empty for one that is not of the kind "bytes".
 * False at the end, and at the first thing that is no field. */
bool proto_next(struct slice *in, uint32_t *field_out, struct slice *bytes_out);
/* The first field of that number, and of the kind "bytes". */
bool proto_find(struct slice in, uint32_t field, struct slice *bytes_out);

#endif
