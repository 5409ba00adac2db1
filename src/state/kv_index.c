/* SPDX-License-Identifier: Apache-2.0 */
/* The index of state/kv_rows.h. A row's key is the key of the client, written so that one that ends
 * sorts before one that goes on, then the revision upside down, so that the newest version comes
 * first. A run of zero bytes becomes 00 and a code, since keys that are mostly zeros are usual
 * (numbers in a wide field):
 *
 *   00 00          the key ends here, after a byte that is not zero
 *   00 01 … 00 7E  1 to 126 zeros, and the key ends
 *   00 7F          126 zeros, and at least one more follows
 *   00 81 … 00 FE  126 down to 1 zeros, and another byte follows */
#include "state/kv_rows.h"

#include "base/check.h"

#include <string.h>

enum {
    RUN_MAX = 126,
    RUN_GOES_ON = 127,
    RUN_PASSED = 255, /* less the zeros */
    END_SIZE = 2,
    REVISION_SIZE = 8,
    TAIL_SIZE = END_SIZE + REVISION_SIZE,
    /* Older versions that a walk passes over one by one, before it seeks the next key. */
    PASS_MAX = 8
};

_Static_assert((int)KV_KEY_MAX + (int)TAIL_SIZE <= (int)TABLE_KEY_MAX, "every key fits a row");

struct row_key {
    uint8_t bytes[TABLE_KEY_MAX];
    size_t len;
};

struct finding {
    struct slice prefix; /* of every row of the key */
    struct kv_version version;
    bool found;
};

struct walk {
    const struct kv_walk *asked;
    struct row_key end; /* rows at or above it are outside; empty: none are */
    struct slice only;  /* not empty: the prefix of the one key */
    bool cut;           /* rows ran out */
    kv_index_visit visit;
    void *visit_ctx;
    struct row_key done; /* prefix of the key that was visited last */
    struct row_key next; /* where to go on; empty: nowhere */
    uint32_t passed;
    uint8_t plain[KV_KEY_MAX];
};

static void put_prefix(struct row_key *row, struct slice key);
static size_t run_of_zeros(struct slice key, size_t from);
static void put_revision(struct row_key *row, int64_t revision);
static struct slice view(const struct row_key *row);
static bool has_prefix(struct slice row, struct slice prefix);
static struct kv_version read_version(struct slice key, struct slice value);
static bool find_first(struct slice key, struct slice value, void *ctx);
static bool walk_row(struct slice key, struct slice value, void *ctx);
static bool walk_may_look(struct walk *walk, struct slice prefix, bool is_done);
static bool walk_past(struct walk *walk, struct slice prefix);
static struct slice plain_key(struct slice prefix, uint8_t *space);

size_t kv_rows_key_size(struct slice key)
{
    size_t size = 0;
    bool ends_with_run = false;
    for (size_t i = 0; i < key.len;) {
        size_t zeros = run_of_zeros(key, i);
        ends_with_run = zeros > 0;
        size += zeros > 0 ? 2 : 1;
        i += zeros > 0 ? zeros : 1;
    }
    return ends_with_run ? size - END_SIZE : size;
}

enum error kv_index_find(const struct tables *tables,
                         struct slice key,
                         int64_t revision,
                         struct kv_version *version_out)
{
    struct row_key from;
    put_prefix(&from, key);
    struct finding finding = {.prefix = view(&from)};
    put_revision(&from, revision);
    tables->ops->scan(tables->ctx, TABLE_KV_INDEX, view(&from), find_first, &finding);
    if (!finding.found) {
        return ERR_NOT_FOUND;
    }
    *version_out = finding.version;
    return ERR_OK;
}

void kv_index_put(struct change *change, struct slice key, const struct kv_version *version)
{
    struct row_key row;
    put_prefix(&row, key);
    put_revision(&row, version->revision);
    uint8_t bytes[32];
    struct buf value = {.data = bytes, .cap = sizeof(bytes)};
    buf_put_u32(&value, version->sub);
    buf_put_u8(&value, version->deleted);
    if (!version->deleted) {
        buf_put_u64(&value, (uint64_t)version->create_revision);
        buf_put_u64(&value, (uint64_t)version->version);
        buf_put_u64(&value, (uint64_t)version->lease);
    }
    CHECK(value.data == bytes);
    change_put(change, TABLE_KV_INDEX, view(&row), &value);
}

void kv_index_del(struct change *change, struct slice key, int64_t revision)
{
    struct row_key row;
    put_prefix(&row, key);
    put_revision(&row, revision);
    change_del(change, TABLE_KV_INDEX, view(&row));
}

bool kv_index_walk(const struct tables *tables,
                   const struct kv_walk *asked,
                   kv_index_visit visit,
                   void *visit_ctx)
{
    const struct kv_range *range = &asked->range;
    struct walk walk = {.asked = asked, .visit = visit, .visit_ctx = visit_ctx};
    struct row_key from;
    put_prefix(&from, range->key);
    if (range->end.len == 0) {
        walk.only = view(&from);
        walk.next = from;
        put_revision(&walk.next, asked->revision);
    } else {
        walk.next = from;
        if (range->end.len > 1 || range->end.data[0] != 0) {
            put_prefix(&walk.end, range->end);
        }
    }
    while (walk.next.len > 0) {
        struct row_key at = walk.next;
        walk.next.len = 0;
        walk.passed = 0;
        tables->ops->scan(tables->ctx, TABLE_KV_INDEX, view(&at), walk_row, &walk);
    }
    return !walk.cut;
}

static void put_prefix(struct row_key *row, struct slice key)
{
    CHECK(kv_rows_key_size(key) <= KV_KEY_MAX);
    size_t len = 0;
    size_t at = 0;
    uint8_t code = 0;
    while (at < key.len) {
        size_t zeros = run_of_zeros(key, at);
        row->bytes[len++] = key.data[at];
        at += zeros > 0 ? zeros : 1;
        code = 0;
        if (zeros > 0) {
            bool goes_on = at < key.len && key.data[at] == 0;
            code = (uint8_t)(at == key.len ? zeros : goes_on ? RUN_GOES_ON : RUN_PASSED - zeros);
            row->bytes[len++] = code;
        }
    }
    if (code == 0 || code >= RUN_GOES_ON) {
        row->bytes[len++] = 0;
        row->bytes[len++] = 0;
    }
    row->len = len;
}

/* How many zeros one code stands for: of a run from here on, RUN_MAX at most. */
static size_t run_of_zeros(struct slice key, size_t from)
{
    size_t at = from;
    while (at < key.len && at - from < RUN_MAX && key.data[at] == 0) {
        at++;
    }
    return at - from;
}

static void put_revision(struct row_key *row, int64_t revision)
{
    CHECK(revision >= 0);
    struct state_key key = key_u64(~(uint64_t)revision);
    memcpy(row->bytes + row->len, key.bytes, key.len);
    row->len += key.len;
}

static struct slice view(const struct row_key *row)
{
    return slice_of(row->bytes, row->len);
}

static bool has_prefix(struct slice row, struct slice prefix)
{
    return row.len == prefix.len + REVISION_SIZE && memcmp(row.data, prefix.data, prefix.len) == 0;
}

static struct kv_version read_version(struct slice key, struct slice value)
{
    uint64_t upside_down =
        key_read_u64(slice_of(key.data + key.len - REVISION_SIZE, REVISION_SIZE));
    struct kv_version version = {.revision = (int64_t)~upside_down};
    struct reader reader = reader_of(value);
    version.sub = reader_u32(&reader);
    version.deleted = reader_u8(&reader) != 0;
    if (!version.deleted) {
        version.create_revision = (int64_t)reader_u64(&reader);
        version.version = (int64_t)reader_u64(&reader);
        version.lease = (int64_t)reader_u64(&reader);
    }
    CHECK(reader_finish(&reader) == ERR_OK);
    return version;
}

static bool find_first(struct slice key, struct slice value, void *ctx)
{
    struct finding *finding = ctx;
    finding->found = has_prefix(key, finding->prefix);
    if (finding->found) {
        finding->version = read_version(key, value);
    }
    return false;
}

static bool walk_row(struct slice key, struct slice value, void *ctx)
{
    struct walk *walk = ctx;
    CHECK(key.len >= TAIL_SIZE); /* a key of zeros is its own end mark */
    if (walk->only.len > 0 ? !has_prefix(key, walk->only)
                           : walk->end.len > 0 && slice_compare(key, view(&walk->end)) >= 0) {
        return false;
    }
    struct slice prefix = slice_of(key.data, key.len - REVISION_SIZE);
    bool is_done = slice_equal(prefix, view(&walk->done));
    if (!walk_may_look(walk, prefix, is_done)) {
        return false;
    }
    if (is_done) {
        return walk_past(walk, prefix);
    }
    struct kv_version version = read_version(key, value);
    if (version.revision > walk->asked->revision) {
        return walk_past(walk, prefix);
    }
    memcpy(walk->done.bytes, prefix.data, prefix.len);
    walk->done.len = prefix.len;
    walk->passed = 0;
    if (version.deleted) {
        return true;
    }
    return walk->visit(plain_key(prefix, walk->plain), &version, walk->visit_ctx);
}

/* One row more, if there are rows left; what is left of a key that was visited is looked at in any
 * case, so that a walk which goes on begins with a key that was not. */
static bool walk_may_look(struct walk *walk, struct slice prefix, bool is_done)
{
    uint64_t *rows = walk->asked->rows;
    if (rows == NULL) {
        return true;
    }
    if (*rows > 0) {
        --*rows;
        return true;
    }
    if (is_done) {
        return true;
    }
    walk->cut = true;
    if (walk->asked->next != NULL) {
        struct slice plain = plain_key(prefix, walk->plain);
        buf_clear(walk->asked->next);
        buf_append(walk->asked->next, plain.data, plain.len);
    }
    return false;
}

/* A version that is not wanted. After many of them it is cheaper to seek what is: the version of
 * this key as of the revision, or, if that was visited, the next key. */
static bool walk_past(struct walk *walk, struct slice prefix)
{
    if (++walk->passed <= PASS_MAX) {
        return true;
    }
    memcpy(walk->next.bytes, prefix.data, prefix.len);
    walk->next.len = prefix.len;
    bool visited = slice_equal(prefix, view(&walk->done));
    if (!visited) {
        put_revision(&walk->next, walk->asked->revision);
    } else if (walk->only.len > 0) {
        walk->next.len = 0;
    } else {
        /* Above every row of this key, not above those of the next: no end mark is FF. */
        walk->next.bytes[prefix.len - 1]++;
    }
    return false;
}

/* The client's key; unless it has zero bytes, a part of the row's key. */
static struct slice plain_key(struct slice prefix, uint8_t *space)
{
    size_t len = prefix.len - END_SIZE;
    if (prefix.data[prefix.len - 1] == 0 && memchr(prefix.data, 0, len) == NULL) {
        return slice_of(prefix.data, len);
    }
    size_t plain = 0;
    for (size_t i = 0; i < prefix.len; i++) {
        if (prefix.data[i] != 0) {
            space[plain++] = prefix.data[i];
            continue;
        }
        uint8_t code = prefix.data[++i];
        size_t zeros = code < RUN_GOES_ON    ? code
                       : code == RUN_GOES_ON ? RUN_MAX
                                             : RUN_PASSED - code;
        CHECK(zeros <= KV_KEY_MAX - plain);
        memset(space + plain, 0, zeros);
        plain += zeros;
    }
    return slice_of(space, plain);
}
