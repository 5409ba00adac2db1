/* SPDX-License-Identifier: Apache-2.0 */
/* See plain_text.h. */
#include "base/plain_text.h"

#include <string.h>

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

size_t plain_text_shown(const char *text_of_others, size_t len)
{
    const unsigned char *text = (const unsigned char *)text_of_others;
    static const uint32_t LEAST[] = {0, 0, 0x80, 0x800, 0x10000};
    unsigned char first = text[0];
    size_t whole = first < 0x80   ? 1
                   : first < 0xc0 ? 0
                   : first < 0xe0 ? 2
                   : first < 0xf0 ? 3
                   : first < 0xf8 ? 4
                                  : 0;
    if (whole == 0 || whole > len) {
        return 0;
    }
    uint32_t code = whole == 1 ? first : first & (0x7fU >> whole);
    for (size_t i = 1; i < whole; i++) {
        if ((text[i] & 0xc0) != 0x80) {
            return 0;
        }
        code = code << 6 | (text[i] & 0x3fU);
    }
    return code >= LEAST[whole] && is_decent(code) ? whole : 0;
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
    if ((code >= 0xd800 && code < 0xe000) || code > 0x10ffff) {
        return false;
    }
    /* Line and paragraph separators; embeddings, overrides and isolates of direction. */
    return !(code >= 0x2028 && code <= 0x202e) && !(code >= 0x2066 && code <= 0x2069);
}
