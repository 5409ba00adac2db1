/* SPDX-License-Identifier: Apache-2.0 */
/* Text form and making of 128-bit identities. */
#include "base/ids.h"

#include "base/check.h"

#include <errno.h>
#include <inttypes.h>
#include <stdio.h>
#include <string.h>
#include <sys/random.h>

enum {
    HALF_DIGITS = 16,
    VERSION_SHIFT = 12,
    WALL_SHIFT = 16
};

#define REQUEST_ID_VERSION       UINT64_C(7)
#define REQUEST_ID_RANDOM_A_MASK UINT64_C(0xfff)
#define REQUEST_ID_WALL_MAX      ((UINT64_C(1) << 48) - 1)
/* RFC 9562, section 4.1: the variant is the two bits 10. */
#define REQUEST_ID_VARIANT       (UINT64_C(1) << 63)
#define REQUEST_ID_RANDOM_B_MASK ((UINT64_C(1) << 62) - 1)

static int compare_u64(uint64_t a, uint64_t b);
static enum error parse_half(const char *text, uint64_t *half_out);

int member_id_compare(struct member_id a, struct member_id b)
{
    int by_hi = compare_u64(a.hi, b.hi);
    return by_hi != 0 ? by_hi : compare_u64(a.lo, b.lo);
}

char *id128_format(uint64_t hi, uint64_t lo, char *text)
{
    int len = snprintf(text, ID128_TEXT_SIZE, "%016" PRIx64 "%016" PRIx64, hi, lo);
    CHECK(len == ID128_TEXT_SIZE - 1);
    return text;
}

enum error id128_parse(const char *text, uint64_t *hi_out, uint64_t *lo_out)
{
    uint64_t hi = 0;
    uint64_t lo = 0;

    if (strnlen(text, ID128_TEXT_SIZE) != ID128_TEXT_SIZE - 1) {
        return ERR_INVALID;
    }
    TRY(parse_half(text, &hi));
    TRY(parse_half(text + HALF_DIGITS, &lo));
    *hi_out = hi;
    *lo_out = lo;
    return ERR_OK;
}

void id128_random(uint64_t *hi_out, uint64_t *lo_out)
{
    uint64_t halves[2];
    ssize_t got;

    do {
        got = getrandom(halves, sizeof(halves), 0);
    } while (got < 0 && errno == EINTR);
    /* Requests of up to 256 bytes are never cut short (getrandom(2)). */
    CHECK(got == (ssize_t)sizeof(halves));
    *hi_out = halves[0];
    *lo_out = halves[1];
}

struct request_id request_id_new(uint64_t wall_ms)
{
    struct request_id id;

    CHECK(wall_ms <= REQUEST_ID_WALL_MAX);
    id128_random(&id.hi, &id.lo);
    id.hi = (wall_ms << WALL_SHIFT) | (REQUEST_ID_VERSION << VERSION_SHIFT) |
            (id.hi & REQUEST_ID_RANDOM_A_MASK);
    id.lo = REQUEST_ID_VARIANT | (id.lo & REQUEST_ID_RANDOM_B_MASK);
    return id;
}

uint64_t request_id_wall_ms(struct request_id id)
{
    return id.hi >> WALL_SHIFT;
}

static int compare_u64(uint64_t a, uint64_t b)
{
    return (a > b) - (a < b);
}

static enum error parse_half(const char *text, uint64_t *half_out)
{
    uint64_t half = 0;

    for (int i = 0; i < HALF_DIGITS; i++) {
        char c = text[i];
        unsigned digit;
        if (c >= '0' && c <= '9') {
            digit = (unsigned)(c - '0');
        } else if (c >= 'a' && c <= 'f') {
            digit = (unsigned)(c - 'a') + 10;
        } else if (c >= 'A' && c <= 'F') {
            digit = (unsigned)(c - 'A') + 10;
        } else {
            return ERR_INVALID;
        }
        half = half << 4 | digit;
    }
    *half_out = half;
    return ERR_OK;
}
