/* SPDX-License-Identifier: Apache-2.0 */
/* Any bytes given to the decoders of messages: refused, or understood so well that what is encoded
 * from the meaning has the same meaning. The first byte chooses the message. */
#include "base/check.h"
#include "base/mem.h"
#include "state/command.h"
#include "wire/wire_command.h"
#include "wire/wire_peer.h"
#include "wire/wire_sidecar.h"

#include <string.h>

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

static void expect_same(struct buf *first, struct buf *second)
{
    CHECK(first->len == second->len);
    CHECK(first->len == 0 || memcmp(first->data, second->data, first->len) == 0);
    buf_deinit(first);
    buf_deinit(second);
}

static void try_handshake(struct slice bytes)
{
    struct wire_handshake handshake;
    struct wire_handshake again;
    if (wire_handshake_decode(bytes, &handshake) != ERR_OK) {
        return;
    }
    struct buf first = {0};
    struct buf second = {0};
    wire_handshake_encode(&handshake, &first);
    CHECK(wire_handshake_decode(buf_view(&first), &again) == ERR_OK);
    wire_handshake_encode(&again, &second);
    expect_same(&first, &second);
}

static void try_raft_message(struct slice bytes)
{
    struct raft_message message;
    struct raft_message again;
    if (wire_raft_message_decode(bytes, &message) != ERR_OK) {
        return;
    }
    struct buf first = {0};
    struct buf second = {0};
    wire_raft_message_encode(&message, &first);
    CHECK(wire_raft_message_decode(buf_view(&first), &again) == ERR_OK);
    wire_raft_message_encode(&again, &second);
    raft_message_deinit(&message);
    raft_message_deinit(&again);
    expect_same(&first, &second);
}

static void try_command(struct slice bytes)
{
    struct command *command = mem_new(sizeof(*command));
    struct command *again = mem_new(sizeof(*again));
    if (wire_command_decode(bytes, command) == ERR_OK) {
        struct buf first = {0};
        struct buf second = {0};
        wire_command_encode(command, &first);
        CHECK(wire_command_decode(buf_view(&first), again) == ERR_OK);
        wire_command_encode(again, &second);
        expect_same(&first, &second);
    }
    mem_free(command);
    mem_free(again);
}

static void try_sidecar(struct slice bytes)
{
    struct wire_sidecar_message *message = mem_new(sizeof(*message));
    struct wire_sidecar_message *again = mem_new(sizeof(*again));
    if (wire_sidecar_decode(bytes, message) == ERR_OK) {
        struct buf first = {0};
        struct buf second = {0};
        wire_sidecar_encode(message, &first);
        CHECK(wire_sidecar_decode(buf_view(&first), again) == ERR_OK);
        wire_sidecar_encode(again, &second);
        expect_same(&first, &second);
    }
    mem_free(message);
    mem_free(again);
}

static void try_coordinator(struct slice bytes)
{
    struct wire_coordinator_message *message = mem_new(sizeof(*message));
    struct wire_coordinator_message *again = mem_new(sizeof(*again));
    if (wire_coordinator_decode(bytes, message) == ERR_OK) {
        struct buf first = {0};
        struct buf second = {0};
        wire_coordinator_encode(message, &first);
        CHECK(wire_coordinator_decode(buf_view(&first), again) == ERR_OK);
        wire_coordinator_encode(again, &second);
        expect_same(&first, &second);
    }
    mem_free(message);
    mem_free(again);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    static void (*const tries[])(struct slice bytes) = {
        try_handshake, try_raft_message, try_command, try_sidecar, try_coordinator};

    if (size > 0) {
        tries[data[0] % (sizeof(tries) / sizeof(tries[0]))](slice_of(data + 1, size - 1));
    }
    return 0;
}
