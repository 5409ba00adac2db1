/* SPDX-License-Identifier: Apache-2.0 */
/* See plain_text.h. */
#include "base/plain_text.h"

#include "base/utf8.h"

static bool is_decent(uint32_t code);

void plain_text_append(struct buf *out, const char *text, size_t len)
{
    for (size_t i = 0; i < len;) {
        size_t whole = plain_text_shown(text + i, len - i);
        if (whole > 0) {
            buf_append(out, text + i, whole);
            i += whole;
            continue;
        }
        if (text[i] == '\n') {
            buf_append_string(out, "\\n");
        } else if (text[i] == '\t') {
            buf_append_string(out, "\\t");
        } else {
            buf_printf(out, "\\x%02x", (unsigned)(unsigned char)text[i]);
        }
        i++;
    }
}

size_t plain_text_shown(const char *text, size_t len)
{
    uint32_t code = 0;
    size_t whole = utf8_character((const uint8_t *)text, len, &code);
    return whole > 0 && is_decent(code) ? whole : 0;
}

bool plain_text_is(const char *text, size_t len)
{
    for (size_t i = 0; i < len;) {
        size_t whole = plain_text_shown(text + i, len - i);
        if (whole == 0) {
            return false;
        }
        i += whole;
    }
    return true;
}

static bool is_decent(uint32_t code)
{
    if (code < 0x20 || (code >= 0x7f && code < 0xa0)) {
        return false;
    }
    /* Line and paragraph separators; embeddings, overrides and isolates of direction. */
    return !(code >= 0x2028 && code <= 0x202e) && !(code >= 0x2066 && code <= 0x2069);
}
