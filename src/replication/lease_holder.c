/* SPDX-License-Identifier: Apache-2.0 */
/* The sidecar's side of a lease. Counting from the send makes the answer's way home harmless: it
 * can only shorten what the holder believes. */
#include "replication/lease_holder.h"

#include "base/check.h"

#include <string.h>

#define NS_PER_MS ((uint64_t)1000000)

static void forget_sends(struct lease_holder *holder);
static uint64_t interval_ns(const struct lease_holder *holder);

void lease_holder_init(struct lease_holder *holder, uint64_t first_id)
{
    memset(holder, 0, sizeof(*holder));
    holder->next_id = first_id == 0 ? 1 : first_id;
}

void lease_holder_goal(struct lease_holder *holder,
                       const struct goal *goal,
                       struct epoch fenced_epoch)
{
    struct epoch wanted = {0};

    if (goal != NULL && goal->role == GOAL_PRIMARY && goal->epoch.value > fenced_epoch.value) {
        wanted = goal->epoch;
    }
    if (wanted.value == holder->epoch.value) {
        return;
    }
    lease_holder_give_up(holder);
    holder->epoch = wanted;
}

void lease_holder_session_opened(struct lease_holder *holder)
{
    holder->sent = false;
    holder->session_id = holder->next_id;
}

bool lease_holder_renew(struct lease_holder *holder, uint64_t now_ns, struct renewal *renewal_out)
{
    if (now_ns < lease_holder_next_ns(holder)) {
        return false;
    }
    CHECK(holder->epoch.value != 0);
    uint64_t id = holder->next_id++;
    uint32_t place = (uint32_t)(id % LEASE_SENDS_MAX);
    holder->sends[place].id = id;
    holder->sends[place].send_ns = now_ns;
    holder->last_send_ns = now_ns;
    holder->sent = true;
    renewal_out->id = id;
    renewal_out->epoch = holder->epoch;
    return true;
}

uint64_t lease_holder_next_ns(const struct lease_holder *holder)
{
    if (holder->epoch.value == 0) {
        return UINT64_MAX;
    }
    return holder->sent ? holder->last_send_ns + interval_ns(holder) : 0;
}

uint64_t lease_holder_unanswered_ns(const struct lease_holder *holder)
{
    uint64_t oldest_ns = 0;
    for (uint32_t i = 0; i < LEASE_SENDS_MAX; i++) {
        uint64_t id = holder->sends[i].id;
        if (id != 0 && id >= holder->session_id && id > holder->answered_id &&
            (oldest_ns == 0 || holder->sends[i].send_ns < oldest_ns)) {
            oldest_ns = holder->sends[i].send_ns;
        }
    }
    return oldest_ns;
}

bool lease_holder_answer(struct lease_holder *holder, const struct renewal_answer *answer)
{
    uint32_t place = (uint32_t)(answer->id % LEASE_SENDS_MAX);

    if (holder->epoch.value == 0 || answer->epoch.value != holder->epoch.value || answer->id == 0 ||
        holder->sends[place].id != answer->id) {
        return false;
    }
    holder->sends[place].id = 0;
    holder->answered_id = answer->id > holder->answered_id ? answer->id : holder->answered_id;
    if (!answer->granted || answer->lease_ms <= LEASE_MARGIN_MS) {
        return false;
    }
    holder->lease_ms = answer->lease_ms;
    uint64_t deadline_ns =
        holder->sends[place].send_ns + (uint64_t)(answer->lease_ms - LEASE_MARGIN_MS) * NS_PER_MS;
    if (deadline_ns <= holder->deadline_ns) {
        return false;
    }
    holder->deadline_ns = deadline_ns;
    return true;
}

struct epoch lease_holder_running(const struct lease_holder *holder, uint64_t now_ns)
{
    if (holder->epoch.value == 0 || now_ns >= holder->deadline_ns) {
        return (struct epoch){0};
    }
    return holder->epoch;
}

void lease_holder_give_up(struct lease_holder *holder)
{
    holder->epoch.value = 0;
    holder->deadline_ns = 0;
    holder->sent = false;
    forget_sends(holder);
}

static void forget_sends(struct lease_holder *holder)
{
    memset(holder->sends, 0, sizeof(holder->sends));
}

static uint64_t interval_ns(const struct lease_holder *holder)
{
    uint64_t interval_ms =
        holder->lease_ms > 0 ? holder->lease_ms / LEASE_RENEW_DIVISOR : LEASE_RENEW_FIRST_MS;

    return interval_ms * NS_PER_MS;
}
