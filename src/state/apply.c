/* SPDX-License-Identifier: Apache-2.0 */
/* See state/apply.h. One switch; every entry, also a refused or undecodable one, gives one leaf. */
#include "state/apply.h"

#include "base/check.h"
#include "state/handler.h"
#include "state/kv_apply.h"
#include "state/ledger.h"
#include "state/session.h"

#include <stdarg.h>
#include <stdio.h>
#include <string.h>

static const char POSITION_KEY[] = "position";

static void dispatch(struct handler *handler);
static const char *run(struct handler *handler, const struct apply_entry *entry);
static void run_request(struct handler *handler, const char **kind);
static bool request_is_valid(struct handler *handler);
static void position_put(const struct tables *tables, const struct apply_position *position);

static void (*const HANDLERS[COMMAND_KIND_COUNT])(struct handler *handler) = {
#define X(kind, name, body, run, ...) [kind] = run,
    COMMAND_TABLE(X)
#undef X
};

void apply_entry(const struct tables *tables,
                 const struct apply_entry *entry,
                 struct command_result *result_out,
                 struct shard_id *changed_out)
{
    struct apply_position position;
    apply_position(tables, &position);
    CHECK(entry->index == position.index + 1);
    CHECK(entry->term >= position.term);

    struct change change = {
        .tables = tables,
        .index = entry->index,
        .term = entry->term,
        .wall_ms = entry->command == NULL ? 0 : entry->command->wall_ms,
        .hash = position.state_hash,
    };
    memset(result_out, 0, sizeof(*result_out));
    result_out->index = entry->index;
    struct handler handler = {
        .change = &change,
        .command = entry->command,
        .result = result_out,
        .replies = entry->replies,
    };
    const char *kind = run(&handler, entry);
    ledger_append(&change, entry, kind, result_out, handler.ops);
    position = (struct apply_position){
        .index = entry->index,
        .term = entry->term,
        .state_hash = change.hash,
    };
    position_put(tables, &position);
    *changed_out = handler.changed;
}

void apply_position(const struct tables *tables, struct apply_position *position_out)
{
    struct slice value;
    *position_out = (struct apply_position){0};
    if (tables_get(tables, TABLE_META, slice_of_string(POSITION_KEY), &value) != ERR_OK) {
        return;
    }
    struct reader reader = reader_of(value);
    position_out->index = reader_u64(&reader);
    position_out->term = reader_u64(&reader);
    position_out->state_hash = reader_u64(&reader);
    CHECK(reader_finish(&reader) == ERR_OK);
}

void handler_refuse(struct handler *handler, enum error error, const char *format, ...)
{
    CHECK(error != ERR_OK);
    handler->result->error = error;
    va_list arguments;
    va_start(arguments, format);
    (void)vsnprintf(handler->result->message, sizeof(handler->result->message), format, arguments);
    va_end(arguments);
}

bool handler_load_shard(struct handler *handler, struct shard_id id, struct shard_view *view_out)
{
    if (id.value == 0 || world_shard_get(handler->change->tables, id, view_out) != ERR_OK) {
        handler_refuse(handler, ERR_NOT_FOUND, "there is no shard %u", id.value);
        return false;
    }
    world_shard_check(view_out);
    return true;
}

/* Does what the entry asks; returns the kind that its leaf names. */
static const char *run(struct handler *handler, const struct apply_entry *entry)
{
    enum {
        RAFT_KIND_NOOP = 1,
        RAFT_KIND_CONFIGURATION = 3
    };

    if (entry->undecodable) {
        handler_refuse(handler, ERR_PROTOCOL, "the entry cannot be decoded; it changes nothing");
        return "undecodable";
    }
    if (entry->command == NULL) {
        return entry->raft_kind == RAFT_KIND_CONFIGURATION ? "configuration" : "noop";
    }
    const struct command *command = entry->command;
    const char *kind = command_kind_name(command->kind);
    if (!command_kind_is_order(command->kind)) {
        run_request(handler, &kind);
        return kind;
    }
    /* A paused ex-leader must not act: what it proposed counts only in its own term. */
    if (command->leader_term != entry->term) {
        handler_refuse(handler,
                       ERR_STALE_LEADER,
                       "ordered in term %llu, committed in term %llu",
                       (unsigned long long)command->leader_term,
                       (unsigned long long)entry->term);
        return kind;
    }
    dispatch(handler);
    return kind;
}

static void run_request(struct handler *handler, const char **kind)
{
    struct request_id request = handler->command->request;
    struct command_result first;
    if (!request_is_valid(handler)) {
        return;
    }
    switch (session_look_up(handler->change->tables, request, &first)) {
    case SESSION_KNOWN:
        *handler->result = first;
        *kind = "retry";
        return;
    case SESSION_EXPIRED:
        handler_refuse(handler,
                       ERR_OUTCOME_UNKNOWN,
                       "the answer to this request id may have been evicted: look at the state, "
                       "then ask with a new id");
        return;
    case SESSION_NEW:
        break;
    }
    dispatch(handler);
    session_store(handler->change, request, handler->result, SESSION_REPLIES_MAX);
}

/* The clock in an id decides what may have been forgotten. One from far ahead, once evicted, would
 * make every later request look forgotten. */
static bool request_is_valid(struct handler *handler)
{
    enum {
        UUID_VERSION = 7,
        AHEAD_MAX_MS = 60 * 60 * 1000
    };

    struct request_id request = handler->command->request;
    uint64_t now_ms = handler->command->wall_ms;
    if ((request.hi >> 12 & 0xf) != UUID_VERSION) {
        handler_refuse(handler,
                       ERR_INVALID,
                       "a request that changes something needs a request id: a UUID of version 7");
        return false;
    }
    if (now_ms != 0 && request_id_wall_ms(request) > now_ms + AHEAD_MAX_MS) {
        handler_refuse(handler,
                       ERR_INVALID,
                       "the request id is from %llu ms after the leader's time: set the clock of "
                       "the machine that asks",
                       (unsigned long long)(request_id_wall_ms(request) - now_ms));
        return false;
    }
    return true;
}

static void dispatch(struct handler *handler)
{
    enum command_kind kind = handler->command->kind;
    CHECK((unsigned)kind < COMMAND_KIND_COUNT && HANDLERS[kind] != NULL);
    HANDLERS[kind](handler);
}

/* What is refused to clients has a leaf and nothing else. */
void apply_refusal(struct handler *handler)
{
    (void)handler;
}

void apply_kv(struct handler *handler)
{
    struct slice batch = handler->command->kv.batch;
    if (kv_apply(handler->change, batch, handler->replies, &handler->ops) != ERR_OK) {
        handler_refuse(handler, ERR_PROTOCOL, "the batch cannot be decoded; it changes nothing");
    }
}

/* Not through change_put: the hash is in it. */
static void position_put(const struct tables *tables, const struct apply_position *position)
{
    struct buf value = {0};
    buf_put_u64(&value, position->index);
    buf_put_u64(&value, position->term);
    buf_put_u64(&value, position->state_hash);
    tables_put(tables, TABLE_META, slice_of_string(POSITION_KEY), buf_view(&value));
    buf_deinit(&value);
}
