/* SPDX-License-Identifier: Apache-2.0 */
/* UTF-8 (RFC 3629: no surrogates, no overlong forms). A text of ours that was cut to fit, or that
 * quotes somebody else, need not be; protobuf and JSON refuse a whole message for one such text. */
#ifndef INDABA_BASE_UTF8_H
#define INDABA_BASE_UTF8_H

#include <stddef.h>
#include <stdint.h>

/* Length of the character at `text`, of which `left` > 0 bytes are there; 0 if it is none. */
size_t utf8_character(const uint8_t *text, size_t left, uint32_t *code_out);
/* In place, as long as it was: each byte that is of no character becomes '?'. */
void utf8_mend(uint8_t *text, size_t len);

#endif
