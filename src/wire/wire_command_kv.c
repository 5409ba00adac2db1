/* SPDX-License-Identifier: Apache-2.0 */
/* See wire_command_kv.h. Nothing is copied: a batch may have a megabyte, and a log is mostly these.
 */
#include "wire/wire_command_kv.h"

#include "wire/wire_command.h"

#include <stdio.h>
#include <string.h>

enum {
    MARK = 0, /* the tag of no field of any message */
    VERSION = 1
};

bool wire_command_kv_is(struct slice bytes)
{
    return bytes.len > 0 && bytes.data[0] == MARK;
}

void wire_command_kv_encode(const struct command *command, struct buf *out)
{
    buf_put_u8(out, MARK);
    buf_put_u8(out, VERSION);
    buf_put_u64(out, command->leader_term);
    buf_put_u64(out, command->wall_ms);
    buf_append(out, command->kv.batch.data, command->kv.batch.len);
}

enum error wire_command_kv_decode(struct slice bytes, struct command *command_out)
{
    struct reader reader = reader_of(bytes);
    uint8_t mark = reader_u8(&reader);
    uint8_t version = reader_u8(&reader);
    uint64_t leader_term = reader_u64(&reader);
    uint64_t wall_ms = reader_u64(&reader);
    if (reader.failed || mark != MARK) {
        return ERR_PROTOCOL;
    }
    if (version != VERSION) {
        return ERR_VERSION;
    }
    *command_out = (struct command){
        .kind = COMMAND_KV,
        .leader_term = leader_term,
        .wall_ms = wall_ms,
        .actor = "leader",
        .kv = {.batch = slice_of(bytes.data + reader.offset, bytes.len - reader.offset)},
    };
    return ERR_OK;
}
