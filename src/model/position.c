/* SPDX-License-Identifier: Apache-2.0 */
/* See model/position.h. */
#include "model/position.h"

#include <inttypes.h>
#include <stdio.h>

int position_compare(struct position a, struct position b)
{
    if (a.timeline != b.timeline) {
        return a.timeline < b.timeline ? -1 : 1;
    }
    if (a.lsn != b.lsn) {
        return a.lsn < b.lsn ? -1 : 1;
    }
    return 0;
}

char *position_format(struct position position, char *text)
{
    (void)snprintf(text,
                   POSITION_TEXT_SIZE,
                   "%" PRIu32 ":%" PRIX32 "/%" PRIX32,
                   position.timeline,
                   (uint32_t)(position.lsn >> 32),
                   (uint32_t)position.lsn);
    return text;
}

/* One to eight hex digits; returns where they end, NULL if there are none or too many. */
static const char *parse_hex32(const char *text, uint32_t *value_out)
{
    uint32_t value = 0;
    int digits = 0;
    for (;; text++, digits++) {
        uint32_t digit = 0;
        if (*text >= '0' && *text <= '9') {
            digit = (uint32_t)(*text - '0');
        } else if (*text >= 'A' && *text <= 'F') {
            digit = (uint32_t)(*text - 'A') + 10;
        } else if (*text >= 'a' && *text <= 'f') {
            digit = (uint32_t)(*text - 'a') + 10;
        } else {
            break;
        }
        if (digits == 8) {
            return NULL;
        }
        value = value << 4 | digit;
    }
    *value_out = value;
    return digits == 0 ? NULL : text;
}

enum error position_parse_lsn(const char *text, uint64_t *lsn_out)
{
    uint32_t high = 0;
    uint32_t low = 0;
    const char *slash = text == NULL ? NULL : parse_hex32(text, &high);
    if (slash == NULL || *slash != '/') {
        return ERR_INVALID;
    }
    const char *end = parse_hex32(slash + 1, &low);
    if (end == NULL || *end != '\0') {
        return ERR_INVALID;
    }
    *lsn_out = (uint64_t)high << 32 | low;
    return ERR_OK;
}

bool position_can_follow(struct position position, const struct fork *fork)
{
    if (position.timeline == fork->timeline) {
        return true;
    }
    return position.timeline == fork->parent_timeline && position.lsn <= fork->fork_lsn;
}

bool position_can_follow_history(struct position position,
                                 const struct fork *forks,
                                 uint32_t forks_count)
{
    if (forks_count == 0) {
        return false;
    }
    if (position.timeline == forks[forks_count - 1].timeline) {
        return true;
    }
    for (uint32_t i = 0; i < forks_count; i++) {
        if (forks[i].parent_timeline == position.timeline) {
            return position.lsn <= forks[i].fork_lsn;
        }
    }
    /* A timeline of the chain whose child was promoted and died before it could report: where it
     * was left is not known, but not beyond the next fork that is. PostgreSQL has the last word. */
    for (uint32_t i = 0; i + 1 < forks_count; i++) {
        if (forks[i].timeline == position.timeline) {
            return position.lsn <= forks[i + 1].fork_lsn;
        }
    }
    return false;
}

bool position_is_in_gap(struct position position, const struct fork *forks, uint32_t forks_count)
{
    bool known = false;
    for (uint32_t i = 0; i < forks_count; i++) {
        if (forks[i].parent_timeline == position.timeline) {
            return false;
        }
        known = known || (forks[i].timeline == position.timeline && i + 1 < forks_count);
    }
    return known;
}
