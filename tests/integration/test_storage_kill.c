/* SPDX-License-Identifier: Apache-2.0 */
/* Goal: a process that is killed at any moment finds, when it starts again, everything it said was
 * durable, and a store that the log can bring up to date. Method: a child writes log and store in a
 * real data folder and reports each index it calls committed; the parent kills it (-9) after a
 * random number of reports, opens the folder, and checks every entry and every row. Forty rounds on
 * the same folder. */
#include "tests/unit/storage/storage_test.h"

#include "base/check.h"
#include "base/clock.h"
#include "base/hash.h"
#include "base/mem.h"
#include "base/prng.h"
#include "storage/member_dir.h"
#include "storage/store.h"
#include "storage/wal_writer.h"

#include <ftw.h>
#include <pthread.h>
#include <signal.h>
#include <stdatomic.h>
#include <stdio.h>
#include <string.h>
#include <sys/wait.h>
#include <unistd.h>

enum {
    ROUNDS = 40,
    SEGMENT_BYTES = 64 * 1024,
    PATH_SIZE = 128,
    UNCOMMITTED = 6 /* entries that may still be truncated */
};

struct report {
    uint64_t index;
    uint64_t term;
};

/* What both sides open. */
struct world {
    char path[PATH_SIZE];
    struct member_dir *dir;
    struct wal *wal;
    struct wal_recovered recovered;
    struct store *store;
    struct reason reason;
    struct prng prng;
};

static void make_path(struct world *world)
{
    (void)snprintf(world->path, PATH_SIZE, "/var/tmp/indaba-kill-XXXXXX");
    CHECK(mkdtemp(world->path) != NULL);
}

static int remove_one(const char *path, const struct stat *status, int type, struct FTW *walk)
{
    (void)status;
    (void)type;
    (void)walk;
    return remove(path);
}

static void must(struct world *world, enum error error)
{
    if (error != ERR_OK) {
        print_error("%s: %s\n", error_text(error), world->reason.text);
        CHECK(error == ERR_OK);
    }
}

static void world_format(struct world *world)
{
    struct member_identity identity = {
        .cluster = {.hi = 1, .lo = 2},
        .member = {.hi = 3, .lo = 4},
        .name = "n1",
    };
    must(world, member_dir_format(world->path, &identity, SEGMENT_BYTES, &world->reason));
}

static void world_open(struct world *world)
{
    struct member_expected nothing = {0};
    must(world, member_dir_open(world->path, &nothing, &world->reason, &world->dir));
    const struct member_identity *identity = member_dir_identity(world->dir);
    struct wal_options options = {
        .disk = disk_real(),
        .path = member_dir_wal_path(world->dir),
        .cluster = identity->cluster,
        .member = identity->member,
        .segment_bytes = SEGMENT_BYTES,
    };
    must(world, wal_open(&options, &world->reason, &world->recovered, &world->wal));
    struct store_options store = {.path = member_dir_store_path(world->dir)};
    must(world, store_open(&store, &world->reason, &world->store));
}

static void world_close(struct world *world)
{
    store_close(world->store);
    wal_close(world->wal);
    wal_recovered_deinit(&world->recovered);
    member_dir_close(world->dir);
}

static struct blob *payload_of(uint64_t index, uint64_t term)
{
    uint8_t bytes[400];
    uint64_t seed = index * 1000 + term;
    size_t len = (size_t)(hash_xxh3(&seed, sizeof(seed), 0) % sizeof(bytes));
    for (size_t i = 0; i < len; i++) {
        bytes[i] = (uint8_t)hash_xxh3(&i, sizeof(i), seed);
    }
    return blob_new(slice_of(bytes, len));
}

/* The row of an entry: the hash of the row before and of the entry. */
static uint64_t row_value(uint64_t before, uint64_t index, uint64_t term)
{
    uint64_t words[3] = {before, index, term};
    return hash_xxh3(words, sizeof(words), 0);
}

static struct slice row_key(uint64_t index, struct buf *key)
{
    buf_clear(key);
    for (int shift = 56; shift >= 0; shift -= 8) {
        buf_put_u8(key, (uint8_t)(index >> shift));
    }
    return buf_view(key);
}

static uint64_t get_row(struct world *world, uint64_t index)
{
    struct buf key = {0};
    struct slice value;
    enum error error =
        tables_get(store_tables(world->store), TABLE_META, row_key(index, &key), &value);
    buf_deinit(&key);
    if (error != ERR_OK) {
        return 0;
    }
    struct reader reader = reader_of(value);
    return reader_u64(&reader);
}

static void apply(struct world *world, uint64_t index, uint64_t term)
{
    struct buf key = {0};
    struct buf value = {0};
    buf_put_u64(&value, row_value(get_row(world, index - 1), index, term));
    tables_put(store_tables(world->store), TABLE_META, row_key(index, &key), buf_view(&value));
    buf_deinit(&key);
    buf_deinit(&value);
}

/* --- the child ------------------------------------------------------------------------------- */

struct child {
    struct world *world;
    struct wal_writer *writer;
    uint64_t *terms; /* by index */
    uint64_t last;
    uint64_t applied;
    uint64_t term;
    uint64_t seq;
    _Atomic uint64_t durable_seq;
    pthread_mutex_t lock;
    pthread_cond_t changed;
};

enum {
    INDEXES_MAX = 1024 * 1024
};

static void on_durable(uint64_t seq, uint64_t durable_index, void *ctx)
{
    struct child *child = ctx;
    (void)durable_index;
    CHECK(pthread_mutex_lock(&child->lock) == 0);
    atomic_store(&child->durable_seq, seq);
    CHECK(pthread_cond_signal(&child->changed) == 0);
    CHECK(pthread_mutex_unlock(&child->lock) == 0);
}

static void on_fatal(enum error error, const struct reason *reason, void *ctx)
{
    (void)ctx;
    (void)fprintf(stderr, "%s: %s\n", error_text(error), reason->text);
    _exit(1);
}

static void submit_one(struct child *child)
{
    struct prng *prng = &child->world->prng;
    struct raft_entry entries[4];
    struct raft_write write = {.seq = ++child->seq, .entries = entries};
    if (child->last > child->applied && prng_chance(prng, 20)) {
        write.truncate_from = prng_between(prng, child->applied + 1, child->last);
        child->last = write.truncate_from - 1;
        child->term++;
        write.has_hard_state = true;
        write.hard_state.term = child->term;
    }
    write.entries_count = (uint32_t)prng_between(prng, 1, ARRAY_LEN(entries));
    for (uint32_t i = 0; i < write.entries_count; i++) {
        CHECK(child->last + 1 < INDEXES_MAX);
        uint64_t index = ++child->last;
        child->terms[index] = child->term;
        entries[i] = (struct raft_entry){
            .term = child->term,
            .index = index,
            .kind = RAFT_ENTRY_COMMAND,
            .payload = payload_of(index, child->term),
        };
    }
    CHECK(wal_writer_submit(child->writer, &write) == ERR_OK);
    for (uint32_t i = 0; i < write.entries_count; i++) {
        blob_unref(entries[i].payload);
    }
}

static void apply_committed(struct child *child, uint64_t commit)
{
    struct world *world = child->world;
    while (child->applied < commit) {
        uint64_t now = clock_monotonic_ms();
        must(world, store_begin(world->store, now));
        child->applied++;
        apply(world, child->applied, child->terms[child->applied]);
        if (store_wants_commit(world->store, now) || prng_chance(&world->prng, 20)) {
            must(world, store_commit(world->store, child->applied, commit));
        }
    }
}

static void run_child(struct world *world, int reports)
{
    struct child child = {.world = world, .term = 1};
    CHECK(pthread_mutex_init(&child.lock, NULL) == 0);
    CHECK(pthread_cond_init(&child.changed, NULL) == 0);
    world_open(world);
    child.terms = mem_new_array(INDEXES_MAX, sizeof(uint64_t));
    child.last = wal_last_index(world->wal);
    for (uint64_t i = 0; i < world->recovered.entries_count; i++) {
        child.terms[world->recovered.entries[i].index] = world->recovered.entries[i].term;
        child.term = world->recovered.entries[i].term;
    }
    if (world->recovered.hard_state.term > child.term) {
        child.term = world->recovered.hard_state.term;
    }
    child.applied = store_committed_index(world->store);
    struct wal_writer_options options = {
        .wal = world->wal,
        .on_durable = on_durable,
        .on_fatal = on_fatal,
        .ctx = &child,
    };
    CHECK(wal_writer_start(&options, &child.writer) == ERR_OK);
    for (;;) {
        uint64_t batch = prng_between(&world->prng, 1, 20);
        for (uint64_t i = 0; i < batch; i++) {
            submit_one(&child);
        }
        CHECK(pthread_mutex_lock(&child.lock) == 0);
        while (atomic_load(&child.durable_seq) < child.seq) {
            CHECK(pthread_cond_wait(&child.changed, &child.lock) == 0);
        }
        CHECK(pthread_mutex_unlock(&child.lock) == 0);
        uint64_t commit = child.last > UNCOMMITTED ? child.last - UNCOMMITTED : 0;
        if (commit > child.applied) {
            struct report report = {.index = commit, .term = child.terms[commit]};
            CHECK(write(reports, &report, sizeof(report)) == (ssize_t)sizeof(report));
            apply_committed(&child, commit);
        }
    }
}

/* --- the parent ------------------------------------------------------------------------------ */

/* Kills the child after `count` reports; the last report read is the promise that must hold. */
static struct report kill_after(pid_t child, int reports, uint64_t count)
{
    struct report last = {0};
    struct report report;
    for (uint64_t i = 0; i < count; i++) {
        if (read(reports, &report, sizeof(report)) != (ssize_t)sizeof(report)) {
            break;
        }
        last = report;
    }
    CHECK(kill(child, SIGKILL) == 0);
    while (read(reports, &report, sizeof(report)) == (ssize_t)sizeof(report)) {
        last = report;
    }
    int status;
    CHECK(waitpid(child, &status, 0) == child);
    assert_true(WIFSIGNALED(status));
    return last;
}

static void expect_intact(struct world *world, struct report promise)
{
    world_open(world);
    const struct wal_recovered *recovered = &world->recovered;
    assert_int_equal(recovered->first_index, 1);
    assert_true(recovered->entries_count >= promise.index);
    if (promise.index > 0) {
        assert_int_equal(recovered->entries[promise.index - 1].term, promise.term);
    }
    for (uint64_t i = 0; i < recovered->entries_count; i++) {
        const struct raft_entry *entry = &recovered->entries[i];
        struct blob *expected = payload_of(entry->index, entry->term);
        assert_true(slice_equal(blob_view(entry->payload), blob_view(expected)));
        blob_unref(expected);
    }
    uint64_t committed = store_committed_index(world->store);
    assert_true(committed <= recovered->entries_count);
    must(world, store_begin(world->store, 0));
    uint64_t row = 0;
    for (uint64_t index = 1; index <= committed; index++) {
        row = row_value(row, index, recovered->entries[index - 1].term);
        assert_int_equal(get_row(world, index), row);
    }
    assert_int_equal(get_row(world, committed + 1), 0);
    world_close(world);
}

static void test_a_killed_member_finds_everything_it_promised(void **state)
{
    (void)state;
    struct world *world = mem_new(sizeof(*world));
    prng_init(&world->prng, test_seed(1));
    make_path(world);
    world_format(world);
    struct report promise = {0};
    for (int round = 0; round < ROUNDS; round++) {
        int pipes[2];
        CHECK(pipe(pipes) == 0);
        (void)prng_next(&world->prng);
        pid_t child = fork();
        CHECK(child >= 0);
        if (child == 0) {
            (void)close(pipes[0]);
            run_child(world, pipes[1]);
        }
        (void)close(pipes[1]);
        struct report last = kill_after(child, pipes[0], prng_below(&world->prng, 30));
        (void)close(pipes[0]);
        promise = last.index > 0 ? last : promise;

        expect_intact(world, promise);
    }
    assert_true(promise.index > ROUNDS);
    CHECK(nftw(world->path, remove_one, 8, FTW_DEPTH | FTW_PHYS) == 0);
    mem_free(world);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_a_killed_member_finds_everything_it_promised),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
