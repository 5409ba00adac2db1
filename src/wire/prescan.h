/* SPDX-License-Identifier: Apache-2.0 */
/* Looks through protobuf bytes from outside before protobuf-c sees them, guided by the message's
 * descriptor: nesting depth, well-formed tags and lengths, strings that are UTF-8 without NUL
 * (which protobuf-c would cut silently, so that C and another language would read different names).
 */
#ifndef INDABA_WIRE_PRESCAN_H
#define INDABA_WIRE_PRESCAN_H

#include "base/buf.h"

#include <protobuf-c/protobuf-c.h>

enum {
    PRESCAN_DEPTH_MAX = 16
};

/* ERR_PROTOCOL if anything is wrong; never reads outside `bytes`. */
MUST_CHECK enum error prescan_message(const ProtobufCMessageDescriptor *descriptor,
                                      struct slice bytes);

/* Of bytes of our own: in place, each byte of a string that is of no character becomes '?'. */
MUST_CHECK enum error
prescan_mend(const ProtobufCMessageDescriptor *descriptor, uint8_t *bytes, size_t len);

/* True for UTF-8 (RFC 3629: no surrogates, no overlong forms) without NUL. */
bool prescan_text_is_valid(struct slice text);

#endif
