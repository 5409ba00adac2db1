/* SPDX-License-Identifier: Apache-2.0 */
/* What is said of denied calls, and what the ledger keeps of them. Whoever has a certificate can be
 * denied thousands of times a second, so both fold what is repeated, by identity and reason: the
 * log tells the first at once, the ledger within a second and one leaf a second at most. */
#include "api/front_internal.h"
#include "base/check.h"
#include "base/clock.h"
#include "base/fold.h"
#include "base/log.h"
#include "base/mem.h"

#include <inttypes.h>
#include <stdio.h>
#include <uv.h>

enum {
    TICK_MS = 1000,
    LOG_PAUSE_MAX_MS = 60 * 1000,
    LEAF_PAUSE_MAX_MS = 3600 * 1000,
};

struct denials {
    struct front *front;
    uv_timer_t tick;
    struct fold log;
    struct fold leaves;
};

static void tell(struct denials *denials, uint64_t now_ms);
static void on_tick(uv_timer_t *timer);
static void record(struct denials *denials, const struct node_view *view, uint64_t now_ms);
static void on_recorded(const struct node_port_answer *answer, void *ctx);
static void on_closed(uv_handle_t *handle);

struct denials *denials_new(struct front *front)
{
    struct denials *denials = mem_new(sizeof(*denials));
    denials->front = front;
    denials->log.pause_max_ms = LOG_PAUSE_MAX_MS;
    denials->leaves.pause_max_ms = LEAF_PAUSE_MAX_MS;
    CHECK(uv_timer_init(net_loop(front->options.net), &denials->tick) == 0);
    denials->tick.data = denials;
    CHECK(uv_timer_start(&denials->tick, on_tick, TICK_MS, TICK_MS) == 0);
    uv_unref((uv_handle_t *)&denials->tick);
    return denials;
}

void denials_free(struct denials *denials)
{
    if (denials != NULL) {
        uv_close((uv_handle_t *)&denials->tick, on_closed);
    }
}

void front_denied(struct front *front, const struct server_call *call, const char *why)
{
    struct denials *denials = front->denials;
    uint64_t now_ms = clock_monotonic_ms();
    char text[FOLD_TEXT_SIZE];
    char note[FOLD_NOTE_SIZE];
    const struct node_office office = node_office(front->options.node);
    front->denied++;
    (void)snprintf(text, sizeof(text), "%.180s: %s", server_call_peer(call), why);
    (void)snprintf(note, sizeof(note), "%s", server_call_path(call));
    if (office.leads) {
        fold_add(&denials->leaves, text, note, now_ms);
    }
    (void)snprintf(note,
                   sizeof(note),
                   "method=%.64s from=%.40s",
                   server_call_path(call),
                   server_call_peer_address(call));
    fold_add(&denials->log, text, note, now_ms);
    tell(denials, now_ms);
}

static void tell(struct denials *denials, uint64_t now_ms)
{
    struct fold_told told;
    while (fold_due(&denials->log, now_ms, &told)) {
        log_event(LOG_WARN,
                  "request.denied",
                  "who_and_why=%s count=%" PRIu64 " %s",
                  log_quote(told.text),
                  told.count,
                  told.note);
    }
}

static void on_tick(uv_timer_t *timer)
{
    struct denials *denials = timer->data;
    uint64_t now_ms = clock_monotonic_ms();
    struct node_view view;
    node_view(denials->front->options.node, &view);
    tell(denials, now_ms);
    if (view.role == RAFT_LEADER && view.initialized) {
        record(denials, &view, now_ms);
    }
}

static void record(struct denials *denials, const struct node_view *view, uint64_t now_ms)
{
    struct fold_told told;
    if (!fold_due(&denials->leaves, now_ms, &told)) {
        return;
    }
    struct command *command = mem_new(sizeof(*command));
    struct command_refusal *refusal = &command->refusal;
    command->kind = COMMAND_REFUSAL;
    command->leader_term = view->term;
    (void)snprintf(command->actor, sizeof(command->actor), "leader");
    (void)snprintf(refusal->method, sizeof(refusal->method), "%s", told.note);
    (void)snprintf(refusal->reason, sizeof(refusal->reason), "%.190s", told.text);
    refusal->count = told.count < UINT32_MAX ? (uint32_t)told.count : UINT32_MAX;
    node_port_propose(
        denials->front->port, command, (struct node_port_waiter){.done = on_recorded});
    mem_free(command);
}

/* The denial stands whether or not its leaf was written. */
static void on_recorded(const struct node_port_answer *answer, void *ctx)
{
    (void)answer;
    (void)ctx;
}

static void on_closed(uv_handle_t *handle)
{
    mem_free(handle->data);
}
