/* SPDX-License-Identifier: Apache-2.0 */
/* See model/sync_record.h. */
#include "model/sync_record.h"

#include "base/check.h"

#include <inttypes.h>
#include <stdio.h>

static int member_compare(struct sync_member a, struct sync_member b)
{
    if (a.instance.value != b.instance.value) {
        return a.instance.value < b.instance.value ? -1 : 1;
    }
    if (a.incarnation.value != b.incarnation.value) {
        return a.incarnation.value < b.incarnation.value ? -1 : 1;
    }
    return 0;
}

bool sync_pair_contains(const struct sync_pair *pair, struct sync_member member)
{
    CHECK(pair->members_count <= SYNC_SET_MAX);
    for (uint32_t i = 0; i < pair->members_count; i++) {
        if (member_compare(pair->members[i], member) == 0) {
            return true;
        }
    }
    return false;
}

bool sync_pair_equal(const struct sync_pair *a, const struct sync_pair *b)
{
    if (a->required != b->required || a->members_count != b->members_count) {
        return false;
    }
    for (uint32_t i = 0; i < a->members_count; i++) {
        if (member_compare(a->members[i], b->members[i]) != 0) {
            return false;
        }
    }
    return true;
}

bool sync_record_contains(const struct sync_record *record, struct sync_member member)
{
    CHECK(record->pairs_count <= SYNC_PAIRS_MAX);
    for (uint32_t i = 0; i < record->pairs_count; i++) {
        if (sync_pair_contains(&record->pairs[i], member)) {
            return true;
        }
    }
    return false;
}

/* How many members of the pair are among the reporters, each counted once. */
static uint32_t
count_reporters(const struct sync_pair *pair, const struct sync_member *reporters, uint32_t count)
{
    uint32_t found = 0;
    for (uint32_t i = 0; i < pair->members_count; i++) {
        for (uint32_t k = 0; k < count; k++) {
            if (member_compare(pair->members[i], reporters[k]) == 0) {
                found++;
                break;
            }
        }
    }
    return found;
}

bool sync_record_quorum(const struct sync_record *record,
                        const struct sync_member *reporters,
                        uint32_t count)
{
    CHECK(record->pairs_count <= SYNC_PAIRS_MAX);
    if (record->pairs_count == 0) {
        return false; /* asynchronous: nobody's silence proves anything */
    }
    for (uint32_t i = 0; i < record->pairs_count; i++) {
        const struct sync_pair *pair = &record->pairs[i];
        if (count_reporters(pair, reporters, count) + pair->required <= pair->members_count) {
            return false;
        }
    }
    return true;
}

enum error sync_pair_add(struct sync_pair *pair, struct sync_member member)
{
    if (sync_pair_contains(pair, member)) {
        return ERR_EXISTS;
    }
    if (pair->members_count == SYNC_SET_MAX) {
        return ERR_LIMIT;
    }
    uint32_t place = pair->members_count;
    while (place > 0 && member_compare(pair->members[place - 1], member) > 0) {
        pair->members[place] = pair->members[place - 1];
        place--;
    }
    pair->members[place] = member;
    pair->members_count++;
    return ERR_OK;
}

enum error sync_pair_remove(struct sync_pair *pair, struct sync_member member)
{
    CHECK(pair->members_count <= SYNC_SET_MAX);
    for (uint32_t i = 0; i < pair->members_count; i++) {
        if (member_compare(pair->members[i], member) == 0) {
            for (uint32_t k = i + 1; k < pair->members_count; k++) {
                pair->members[k - 1] = pair->members[k];
            }
            pair->members_count--;
            pair->members[pair->members_count] = (struct sync_member){0};
            return ERR_OK;
        }
    }
    return ERR_NOT_FOUND;
}

enum error sync_record_validate(const struct sync_record *record)
{
    if (record->pairs_count > SYNC_PAIRS_MAX) {
        return ERR_INVALID;
    }
    if (record->pairs_count > 0 && record->version == 0) {
        return ERR_INVALID;
    }
    for (uint32_t i = 0; i < record->pairs_count; i++) {
        const struct sync_pair *pair = &record->pairs[i];
        if (pair->members_count > SYNC_SET_MAX || pair->required < 1) {
            return ERR_INVALID;
        }
        for (uint32_t k = 0; k < pair->members_count; k++) {
            bool named =
                pair->members[k].instance.value != 0 && pair->members[k].incarnation.value != 0;
            bool ordered = k == 0 || member_compare(pair->members[k - 1], pair->members[k]) < 0;
            if (!named || !ordered) {
                return ERR_INVALID;
            }
        }
    }
    return ERR_OK;
}

char *sync_member_name(struct shard_id shard, struct sync_member member, char *text)
{
    int len = snprintf(text,
                       SYNC_NAME_SIZE,
                       "indaba_%" PRIu32 "_%" PRIu32 "_%016" PRIx64,
                       shard.value,
                       member.instance.value,
                       member.incarnation.value);
    CHECK(len > 0 && len < SYNC_NAME_SIZE);
    return text;
}
