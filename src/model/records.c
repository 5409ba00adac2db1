/* SPDX-License-Identifier: Apache-2.0 */
/* See model/records.h. */
#include "model/records.h"

#include "base/check.h"
#include "model/report.h"

#include <string.h>

static const char *const STEP_NAMES[] = {
#define X(name, text) text,
    FAILOVER_STEP_TABLE(X)
#undef X
};
static const char *const CAUSE_NAMES[] = {
#define X(name, text) text,
    FAILOVER_CAUSE_TABLE(X)
#undef X
};
static const char *const PROOF_NAMES[] = {
#define X(name, text) text,
    EXCLUSION_PROOF_TABLE(X)
#undef X
};
static const char *const STANDING_NAMES[] = {
#define X(name, text) text,
    MEMBER_STANDING_TABLE(X)
#undef X
};
static const char *const REACH_NAMES[] = {"unknown", "ok", "refused", "silent"};

_Static_assert((int)MARKS_MAX == (int)SHARD_INSTANCES_MAX, "a mark for each instance");
_Static_assert(ARRAY_LEN(STEP_NAMES) == FAILOVER_STEP_COUNT, "one name per step");
_Static_assert(ARRAY_LEN(CAUSE_NAMES) == FAILOVER_CAUSE_COUNT, "one name per cause");
_Static_assert(ARRAY_LEN(PROOF_NAMES) == EXCLUSION_PROOF_COUNT, "one name per proof");
_Static_assert(ARRAY_LEN(STANDING_NAMES) == MEMBER_STANDING_COUNT, "one name per standing");
_Static_assert(ARRAY_LEN(REACH_NAMES) == REACH_SILENT + 1, "one name per reach");

static bool ipv4_is_valid(const char *host, size_t len);
static bool ipv6_is_valid(const char *host, size_t len);
static bool group_is_valid(const char *digits, size_t len);
static uint64_t first_ballot(uint32_t cluster_epoch);
static bool number_is_valid(const char *digits, size_t len, uint32_t max);

uint32_t lease_least_ms(uint32_t heartbeat_ms, uint32_t election_ms)
{
    enum {
        ELECTION_MOST = 2,
        ROUND_TRIPS = 4
    };

    uint32_t without_leader_ms =
        ELECTION_MOST * election_ms + ROUND_TRIPS * heartbeat_ms + LEASE_MARGIN_MS;
    return (without_leader_ms * LEASE_RENEW_DIVISOR + LEASE_RENEW_DIVISOR - 2) /
           (LEASE_RENEW_DIVISOR - 1);
}

bool name_is_valid(const char *name)
{
    size_t len = strnlen(name, NAME_SIZE);
    if (len == 0 || len >= NAME_SIZE) {
        return false;
    }
    for (size_t i = 0; i < len; i++) {
        char c = name[i];
        bool alphanumeric = (c >= 'a' && c <= 'z') || (c >= '0' && c <= '9');
        bool punctuation = c == '.' || c == '_' || c == '-';
        if (!alphanumeric && (i == 0 || !punctuation)) {
            return false;
        }
    }
    return true;
}

bool address_is_valid(const char *address)
{
    size_t len = strnlen(address, ADDRESS_SIZE);
    const char *colon = len < ADDRESS_SIZE ? strrchr(address, ':') : NULL;
    if (colon == NULL) {
        return false;
    }
    size_t host_len = (size_t)(colon - address);
    size_t port_len = len - host_len - 1;
    if (!number_is_valid(colon + 1, port_len, UINT16_MAX) || colon[1] == '0') {
        return false;
    }
    if (host_len > 2 && address[0] == '[' && colon[-1] == ']') {
        return ipv6_is_valid(address + 1, host_len - 2);
    }
    return ipv4_is_valid(address, host_len);
}

const char *member_standing_name(enum member_standing standing)
{
    return (unsigned)standing < MEMBER_STANDING_COUNT ? STANDING_NAMES[standing] : "?";
}

enum error member_standing_parse(const char *text, enum member_standing *standing_out)
{
    for (size_t i = 0; i < ARRAY_LEN(STANDING_NAMES); i++) {
        if (strcmp(STANDING_NAMES[i], text) == 0) {
            *standing_out = (enum member_standing)i;
            return ERR_OK;
        }
    }
    return ERR_INVALID;
}

struct epoch epoch_next(struct epoch epoch, uint32_t cluster_epoch)
{
    struct epoch next = {epoch.value + 1};
    uint64_t first = first_ballot(cluster_epoch);
    if (next.value < first) {
        next.value = first;
    }
    return next;
}

uint32_t shard_timelines_given(const struct shard *shard, uint32_t cluster_epoch)
{
    bool decided = cluster_epoch == 0 || shard->primary_epoch.value >= first_ballot(cluster_epoch);
    uint32_t left = UINT32_MAX - shard->timeline_reserved;
    uint32_t lost = decided ? 0 : LOST_TIMELINES_MAX;
    return shard->timeline_reserved + (lost < left ? lost : left);
}

bool shard_left_behind(const struct shard *shard, struct position position)
{
    return position.timeline < shard->branch_timeline &&
           position_compare(position, shard->floor) > 0;
}

void shard_forget_left_behind(const struct shard *shard, struct marks *marks)
{
    struct marks kept = {0};

    if (!shard_left_behind(shard, marks->acked)) {
        kept.acked = marks->acked;
    }
    for (uint32_t i = 0; i < marks->count; i++) {
        const struct mark *mark = &marks->items[i];
        if (!shard_left_behind(shard, mark->position)) {
            marks_raise(
                &kept, (struct sync_member){mark->instance, mark->incarnation}, mark->position);
        }
    }
    *marks = kept;
}

/* Of one cluster epoch. */
static uint64_t first_ballot(uint32_t cluster_epoch)
{
    enum {
        BALLOTS_BITS = 40
    };

    return ((uint64_t)cluster_epoch << BALLOTS_BITS) + 1;
}

const char *failover_step_name(enum failover_step step)
{
    return (unsigned)step < FAILOVER_STEP_COUNT ? STEP_NAMES[step] : "?";
}

const char *failover_cause_name(enum failover_cause cause)
{
    return (unsigned)cause < FAILOVER_CAUSE_COUNT ? CAUSE_NAMES[cause] : "?";
}

const char *exclusion_proof_name(enum exclusion_proof proof)
{
    return (unsigned)proof < EXCLUSION_PROOF_COUNT ? PROOF_NAMES[proof] : "?";
}

const char *reach_name(enum reach reach)
{
    return (unsigned)reach < ARRAY_LEN(REACH_NAMES) ? REACH_NAMES[reach] : "?";
}

bool final_report_may_lead(const struct shard_view *view,
                           const struct final_report *reports,
                           uint32_t count,
                           uint32_t at)
{
    CHECK(at < count);
    struct position position = reports[at].position;
    const struct instance *instance = shard_view_instance(view, reports[at].instance);
    bool sync = view->shard.mode == SHARD_SYNC;
    for (uint32_t i = 0; sync && i < count; i++) {
        if (position_compare(reports[i].position, position) > 0) {
            return false;
        }
    }
    /* Async: what the old primary wrote since may be lost, within the bound; what the shard began
     * this office with may not. */
    return instance != NULL && shard_allows_region(&view->shard, instance->region) &&
           position_compare(position, view->shard.floor) >= 0 &&
           (!sync || position_compare(position, view->failover.acked_floor) >= 0);
}

bool final_reports_have_leader(const struct shard_view *view,
                               const struct final_report *reports,
                               uint32_t count)
{
    for (uint32_t i = 0; i < count; i++) {
        if (final_report_may_lead(view, reports, count, i)) {
            return true;
        }
    }
    return false;
}

const struct instance *shard_view_instance(const struct shard_view *view, struct instance_id id)
{
    CHECK(view->instances_count <= SHARD_INSTANCES_MAX);
    for (uint32_t i = 0; i < view->instances_count; i++) {
        if (id.value != 0 && view->instances[i].id.value == id.value) {
            return &view->instances[i];
        }
    }
    return NULL;
}

bool shard_allows_region(const struct shard *shard, const char *region)
{
    CHECK(shard->allowed_regions_count <= REGIONS_MAX);
    if (shard->allowed_regions_count == 0) {
        return true;
    }
    for (uint32_t i = 0; i < shard->allowed_regions_count; i++) {
        if (strcmp(shard->allowed_regions[i], region) == 0) {
            return true;
        }
    }
    return false;
}

struct position failover_own_floor(const struct failover *failover)
{
    struct position highest = marks_highest(&failover->marks);

    return position_compare(failover->acked_floor, highest) > 0 ? failover->acked_floor : highest;
}

bool failover_own_may_lead(const struct shard_view *view,
                           const struct final_report *own,
                           const struct final_report *reports,
                           uint32_t count)
{
    const struct instance *instance = shard_view_instance(view, own->instance);

    for (uint32_t i = 0; i < count; i++) {
        if (position_compare(reports[i].position, own->position) > 0) {
            return false;
        }
    }
    return instance != NULL && shard_allows_region(&view->shard, instance->region) &&
           position_compare(own->position, view->shard.floor) >= 0 &&
           position_compare(own->position, failover_own_floor(&view->failover)) >= 0;
}

bool shard_view_in_failover(const struct shard_view *view)
{
    switch (view->failover.step) {
    case FAILOVER_EXCLUDE:
    case FAILOVER_COMPLETE:
    case FAILOVER_DECIDE:
    case FAILOVER_PROMOTE:
    case FAILOVER_OPEN:
        return true;
    case FAILOVER_NONE:
    case FAILOVER_DONE:
    case FAILOVER_ABORTED:
    case FAILOVER_STEP_COUNT:
        return false;
    }
    return false;
}

/* Four numbers with dots, none with a leading zero: some readers take those for octal. */
static bool ipv4_is_valid(const char *host, size_t len)
{
    size_t begin = 0;
    int numbers = 0;
    for (size_t i = 0; i <= len; i++) {
        if (i < len && host[i] != '.') {
            continue;
        }
        bool padded = i - begin > 1 && host[begin] == '0';
        if (padded || !number_is_valid(host + begin, i - begin, UINT8_MAX)) {
            return false;
        }
        numbers++;
        begin = i + 1;
    }
    return numbers == 4;
}

/* Eight groups, or fewer around one "::"; an IPv4 address may stand for the last two. Exactly what
 * inet_pton takes, which this layer may not ask: whoever dials does. */
static bool ipv6_is_valid(const char *host, size_t len)
{
    bool gap = len >= 2 && host[0] == ':' && host[1] == ':';
    size_t begin = gap ? 2 : 0;
    uint32_t groups = 0;
    while (begin < len) {
        const char *colon = memchr(host + begin, ':', len - begin);
        size_t end = colon == NULL ? len : (size_t)(colon - host);
        if (colon == NULL && memchr(host + begin, '.', len - begin) != NULL) {
            groups += 2;
            if (!ipv4_is_valid(host + begin, len - begin)) {
                return false;
            }
        } else {
            groups++;
            if (!group_is_valid(host + begin, end - begin)) {
                return false;
            }
        }
        if (colon == NULL) {
            break;
        }
        begin = end + 1;
        if (begin == len || (host[begin] == ':' && gap)) {
            return false;
        }
        if (host[begin] == ':') {
            gap = true;
            begin++;
        }
    }
    return gap ? groups < 8 : groups == 8;
}

/* One to four hex digits. */
static bool group_is_valid(const char *digits, size_t len)
{
    for (size_t i = 0; i < len; i++) {
        char c = digits[i];
        if (!(c >= '0' && c <= '9') && !(c >= 'a' && c <= 'f') && !(c >= 'A' && c <= 'F')) {
            return false;
        }
    }
    return len >= 1 && len <= 4;
}

/* One to five digits, at most `max`. */
static bool number_is_valid(const char *digits, size_t len, uint32_t max)
{
    uint32_t value = 0;
    if (len == 0 || len > 5) {
        return false;
    }
    for (size_t i = 0; i < len; i++) {
        if (digits[i] < '0' || digits[i] > '9') {
            return false;
        }
        value = value * 10 + (uint32_t)(digits[i] - '0');
    }
    return value <= max;
}

bool failover_drains(const struct failover *failover)
{
    return failover->step == FAILOVER_EXCLUDE && failover->cause == CAUSE_OPERATOR &&
           !failover->in_place && !failover->witnessed;
}
