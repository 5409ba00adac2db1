/* SPDX-License-Identifier: Apache-2.0 */
/* See address.h. IPv4 addresses are compared as what they are in IPv6 (RFC 4291, 2.5.5.2). */
#include "model/address.h"

#include "base/check.h"

#include <stdint.h>
#include <stdlib.h>
#include <string.h>

enum {
    GROUPS = 8,
    HEX = 16,
    DECIMAL = 10,
};

static bool listens_at(const struct member *member, const char *address);
static void groups_of(const char *address, uint16_t groups[GROUPS]);
static void put_ipv4(const char *host, uint16_t *two_groups);

bool address_same(const char *a, const char *b)
{
    uint16_t groups_a[GROUPS];
    uint16_t groups_b[GROUPS];
    if (!address_is_valid(a) || !address_is_valid(b)) {
        return strcmp(a, b) == 0;
    }
    groups_of(a, groups_a);
    groups_of(b, groups_b);
    return memcmp(groups_a, groups_b, sizeof(groups_a)) == 0 &&
           strcmp(strrchr(a, ':'), strrchr(b, ':')) == 0;
}

const char *address_taken(const struct member *members,
                          uint32_t count,
                          const struct member *member,
                          const char **where_out)
{
    const char *const ours[] = {member->peer_address, member->api_address, member->ops_address};
    for (size_t i = 0; i < ARRAY_LEN(ours); i++) {
        *where_out = ours[i];
        for (size_t k = 0; k < i; k++) {
            if (address_is_valid(ours[i]) && address_same(ours[i], ours[k])) {
                return member->name;
            }
        }
        for (uint32_t k = 0; k < count; k++) {
            if (!member_id_equal(members[k].id, member->id) && listens_at(&members[k], ours[i])) {
                return members[k].name;
            }
        }
    }
    return NULL;
}

static bool listens_at(const struct member *member, const char *address)
{
    return address_is_valid(address) && (address_same(member->peer_address, address) ||
                                         address_same(member->api_address, address) ||
                                         address_same(member->ops_address, address));
}

static void groups_of(const char *address, uint16_t groups[GROUPS])
{
    memset(groups, 0, GROUPS * sizeof(*groups));
    if (address[0] != '[') {
        groups[5] = UINT16_MAX;
        put_ipv4(address, &groups[6]);
        return;
    }
    const char *at = address + 1;
    uint32_t count = 0;
    uint32_t gap = GROUPS;
    while (*at != ']') {
        if (at[0] == ':') { /* of a valid one only two of them can be here */
            gap = count;
            at += 2;
            continue;
        }
        size_t len = strcspn(at, ":]");
        CHECK(count < GROUPS);
        if (memchr(at, '.', len) != NULL) {
            put_ipv4(at, &groups[count]);
            count += 2;
        } else {
            groups[count++] = (uint16_t)strtoul(at, NULL, HEX);
        }
        at += len;
        at += at[0] == ':' && at[1] != ':' ? 1 : 0;
    }
    if (gap < GROUPS) {
        uint32_t behind = count - gap;
        memmove(&groups[GROUPS - behind], &groups[gap], behind * sizeof(*groups));
        memset(&groups[gap], 0, (GROUPS - count) * sizeof(*groups));
    }
}

static void put_ipv4(const char *host, uint16_t *two_groups)
{
    for (uint32_t i = 0; i < 4; i++) {
        char *end = NULL;
        uint16_t part = (uint16_t)strtoul(host, &end, DECIMAL);
        two_groups[i / 2] = (uint16_t)(two_groups[i / 2] << 8 | part);
        host = end + 1;
    }
}
