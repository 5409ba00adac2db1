/* SPDX-License-Identifier: Apache-2.0 */
/* See kv_fixture.h. */
#include "kv_fixture.h"

#include "base/check.h"

#include <inttypes.h>
#include <stdio.h>

enum {
    PART_ROWS = 16
};

struct text {
    char *bytes;
    size_t len;
};

static bool add_pair(const struct kv_pair *pair, void *ctx);
static bool add_event(const struct kv_event *event, void *ctx);
static void add(struct text *text, const char *format, ...) __attribute__((format(printf, 2, 3)));
static struct text text_new(void);

void kv_fixture_init(struct kv_fixture *fixture)
{
    memset(fixture, 0, sizeof(*fixture));
    fixture->memory = tables_memory_new();
    fixture->tables = tables_memory_tables(fixture->memory);
    fixture->term = 3;
    fixture->wall_ms = 1700000000;
}

void kv_fixture_free(struct kv_fixture *fixture)
{
    tables_memory_free(fixture->memory);
    buf_deinit(&fixture->batch);
    buf_deinit(&fixture->replies);
}

void kv_add(struct kv_fixture *fixture, const struct kv_op *op)
{
    kv_op_encode(&fixture->batch, op);
}

void kv_commit(struct kv_fixture *fixture)
{
    struct command command = {
        .kind = COMMAND_KV,
        .leader_term = fixture->term,
        .wall_ms = fixture->wall_ms,
        .kv = {.batch = buf_view(&fixture->batch)},
    };
    struct apply_entry entry = {
        .index = ++fixture->index,
        .term = fixture->term,
        .raft_kind = 2,
        .command = &command,
        .payload = buf_view(&fixture->batch),
        .replies = &fixture->replies,
    };
    struct shard_id changed;
    buf_clear(&fixture->replies);
    apply_entry(&fixture->tables, &entry, &fixture->result, &changed);
    assert_int_equal(changed.value, 0);
    buf_clear(&fixture->batch);
}

struct kv_reply kv_do(struct kv_fixture *fixture, const struct kv_op *op)
{
    struct kv_reply reply;
    kv_add(fixture, op);
    kv_commit(fixture);
    assert_int_equal(fixture->result.error, ERR_OK);
    struct reader reader = reader_of(buf_view(&fixture->replies));
    assert_true(kv_reply_next(&reader, &reply));
    assert_int_equal(reader_finish(&reader), ERR_OK);
    assert_int_equal(reply.kind, op->kind);
    return reply;
}

struct kv_op kv_op_put(const char *key, const char *value)
{
    return (struct kv_op){
        .kind = KV_OP_PUT,
        .put = {.key = slice_of_string(key), .value = slice_of_string(value)},
    };
}

static struct kv_range range_of(const char *key, const char *end)
{
    struct kv_range range = {.key = slice_of_string(key)};
    if (end != NULL) {
        range.end = end[0] == '\0' ? slice_of("", 1) : slice_of_string(end);
    }
    return range;
}

struct kv_op kv_op_delete(const char *key, const char *end)
{
    return (struct kv_op){.kind = KV_OP_DELETE, .del = {.range = range_of(key, end)}};
}

struct kv_op_range kv_op_range(const char *key, const char *end)
{
    return (struct kv_op_range){.range = range_of(key, end)};
}

struct kv_compare
kv_op_compare(const char *key, enum kv_target target, enum kv_compare_result result, int64_t number)
{
    return (struct kv_compare){
        .range = range_of(key, NULL),
        .target = target,
        .result = result,
        .number = number,
    };
}

int64_t kv_put(struct kv_fixture *fixture, const char *key, const char *value)
{
    struct kv_op op = kv_op_put(key, value);
    struct kv_reply reply = kv_do(fixture, &op);
    assert_int_equal(reply.error, KV_OK);
    return reply.revision;
}

int64_t kv_put_leased(struct kv_fixture *fixture, const char *key, int64_t lease)
{
    struct kv_op op = kv_op_put(key, "leased");
    op.put.lease = lease;
    struct kv_reply reply = kv_do(fixture, &op);
    assert_int_equal(reply.error, KV_OK);
    return reply.revision;
}

int64_t kv_delete(struct kv_fixture *fixture, const char *key, const char *end)
{
    struct kv_op op = kv_op_delete(key, end);
    struct kv_reply reply = kv_do(fixture, &op);
    assert_int_equal(reply.error, KV_OK);
    return reply.count;
}

enum kv_error kv_compact_at(struct kv_fixture *fixture, int64_t revision)
{
    struct kv_op op = {.kind = KV_OP_COMPACT, .compact_revision = revision};
    return kv_do(fixture, &op).error;
}

int64_t kv_grant(struct kv_fixture *fixture, int64_t id, int64_t ttl)
{
    struct kv_op op = {.kind = KV_OP_LEASE_GRANT, .lease = {.id = id, .ttl = ttl}};
    struct kv_reply reply = kv_do(fixture, &op);
    assert_int_equal(reply.error, KV_OK);
    assert_int_equal(reply.lease_ttl, ttl);
    return reply.lease_id;
}

enum kv_error kv_revoke(struct kv_fixture *fixture, int64_t id)
{
    struct kv_op op = {.kind = KV_OP_LEASE_REVOKE, .lease = {.id = id}};
    return kv_do(fixture, &op).error;
}

void kv_sweep_all(struct kv_fixture *fixture)
{
    struct kv_op op = {.kind = KV_OP_SWEEP};
    while (kv_sweep_pending(&fixture->tables)) {
        assert_int_equal(kv_do(fixture, &op).error, KV_OK);
    }
}

enum kv_error kv_read(const struct tables *tables,
                      const struct kv_op_range *range,
                      struct kv_range_result *result_out,
                      kv_visit visit,
                      void *visit_ctx)
{
    struct kv_cursor cursor = {.rows = PART_ROWS};
    enum kv_error error = kv_range(tables, range, &cursor, visit, visit_ctx);
    while (error == KV_OK && cursor.cut) {
        cursor.rows = PART_ROWS;
        error = kv_range(tables, range, &cursor, visit, visit_ctx);
    }
    *result_out = cursor.result;
    kv_cursor_deinit(&cursor);
    return error;
}

const char *kv_text(struct kv_fixture *fixture, const struct kv_op_range *range)
{
    struct text text = text_new();
    struct kv_range_result result;
    enum kv_error error = kv_read(&fixture->tables, range, &result, add_pair, &text);
    if (error != KV_OK) {
        add(&text, "error %d", (int)error);
    } else if (result.more) {
        add(&text, "+");
    }
    return text.bytes;
}

const char *kv_key_text(struct kv_fixture *fixture, const char *key)
{
    struct text text = text_new();
    struct kv_pair pair;
    if (kv_get(&fixture->tables, slice_of_string(key), INT64_MAX, &pair) != ERR_OK) {
        return "-";
    }
    add(&text,
        "%.*s %" PRId64 " %" PRId64 " %" PRId64 " %" PRId64,
        (int)pair.value.len,
        (const char *)pair.value.data,
        pair.create_revision,
        pair.mod_revision,
        pair.version,
        pair.lease);
    return text.bytes;
}

const char *kv_pairs_text(struct slice pairs)
{
    struct text text = text_new();
    struct reader reader = reader_of(pairs);
    struct kv_pair pair;
    while (kv_pair_next(&reader, &pair)) {
        (void)add_pair(&pair, &text);
    }
    assert_int_equal(reader_finish(&reader), ERR_OK);
    return text.bytes;
}

const char *kv_events_text(struct kv_fixture *fixture, int64_t revision)
{
    struct text text = text_new();
    enum kv_error error = kv_events(&fixture->tables, revision, add_event, &text);
    if (error != KV_OK) {
        add(&text, "error %d", (int)error);
    }
    return text.bytes;
}

static bool add_pair(const struct kv_pair *pair, void *ctx)
{
    struct text *text = ctx;
    add(text,
        "%s%.*s=%.*s",
        text->len == 0 ? "" : " ",
        (int)pair->key.len,
        (const char *)pair->key.data,
        (int)pair->value.len,
        (const char *)pair->value.data);
    return true;
}

static bool add_event(const struct kv_event *event, void *ctx)
{
    struct text *text = ctx;
    const struct kv_pair *pair = &event->pair;
    add(text,
        "%s%" PRId64 ":%s%.*s%s%.*s",
        text->len == 0 ? "" : " ",
        pair->mod_revision,
        event->deleted ? "-" : "",
        (int)pair->key.len,
        (const char *)pair->key.data,
        event->deleted ? "" : "=",
        (int)pair->value.len,
        (const char *)pair->value.data);
    return true;
}

static void add(struct text *text, const char *format, ...)
{
    va_list arguments;
    va_start(arguments, format);
    int len = vsnprintf(text->bytes + text->len, KV_TEXT_SIZE - text->len, format, arguments);
    va_end(arguments);
    assert_true(len >= 0 && text->len + (size_t)len < KV_TEXT_SIZE);
    text->len += (size_t)len;
}

/* A few at a time, so that one assertion can have two. */
static struct text text_new(void)
{
    static char ring[4][KV_TEXT_SIZE];
    static unsigned next;
    char *bytes = ring[next++ % ARRAY_LEN(ring)];
    bytes[0] = '\0';
    return (struct text){.bytes = bytes};
}
