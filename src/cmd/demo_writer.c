/* SPDX-License-Identifier: Apache-2.0 */
/* The demo's client: one thread that writes numbered rows, one transaction each, through whichever
 * instance takes them, and remembers which were acknowledged. Every wait has a deadline, so that a
 * frozen primary does not hold it; a row whose answer did not come is unknown. Its connection is
 * kept: if the instance that fell silent answers after all, the row counts as acknowledged late. A
 * success with a warning (01000: not replicated) is no acknowledgement. */
#include "base/check.h"
#include "base/clock.h"
#include "base/mem.h"
#include "cmd/demo.h"
#include "cmd/demo_rows.h"

#include <inttypes.h>
#include <libpq-fe.h>
#include <poll.h>
#include <pthread.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

enum {
    CONNECT_MS = 400,
    ANSWER_MS = 800,
    READ_BACK_MS = 20000,
    PAUSE_MS = 4,        /* between rows: the demo shows a failover, not throughput */
    RETRY_PAUSE_MS = 10, /* between instances */
    SILENT_MAX = 16,
    CONNINFO_SIZE = 192,
    STATEMENT_SIZE = 96,
};

/* A connection on which the answer for a row did not come in time. */
struct silent_row {
    uint64_t id;
    const char *instance;
    PGconn *connection;
};

struct demo_writer {
    pthread_t thread;
    pthread_mutex_t lock;
    bool stop; /* under lock, as are the next two */
    struct demo_rows rows;

    const char *names[DEMO_REGIONS_MAX];
    char conninfo[DEMO_REGIONS_MAX][CONNINFO_SIZE];
    uint32_t instances;
    uint32_t current;
    PGconn *connection;
    bool warned; /* the answer came with a warning */
    struct silent_row silent[SILENT_MAX];
    size_t silent_count;
};

static void *write_rows(void *ctx);
static bool must_stop(struct demo_writer *writer);
static bool connect_somewhere(struct demo_writer *writer, uint64_t timeout_ms);
static bool finish_connect(PGconn *connection, uint64_t deadline_ms);
static PGresult *run(struct demo_writer *writer, const char *statement, uint64_t timeout_ms);
static bool wait_socket(const PGconn *connection, short events, uint64_t deadline_ms);
static void disconnect(struct demo_writer *writer);
static void set_aside(struct demo_writer *writer, uint64_t id);
static void collect_late(struct demo_writer *writer);
static bool is_acked_late(struct demo_writer *writer, PGconn *connection);
static void on_notice(void *ctx, const PGresult *result);
static int64_t count_missing(const struct demo_writer *writer, const PGresult *present);

struct demo_writer *demo_writer_start(const struct demo *demo)
{
    struct demo_writer *writer = mem_new(sizeof(*writer));
    demo_rows_init(&writer->rows);
    writer->instances = demo->regions_count;
    for (uint32_t i = 0; i < demo->regions_count; i++) {
        writer->names[i] = demo->regions[i].name;
        (void)snprintf(writer->conninfo[i],
                       CONNINFO_SIZE,
                       "hostaddr=127.0.0.1 port=%u user=postgres dbname=postgres "
                       "application_name=indaba_demo target_session_attrs=read-write",
                       demo->regions[i].database_port);
    }
    CHECK(pthread_mutex_init(&writer->lock, NULL) == 0);
    CHECK(pthread_create(&writer->thread, NULL, write_rows, writer) == 0);
    return writer;
}

void demo_writer_stop(struct demo_writer *writer)
{
    (void)pthread_mutex_lock(&writer->lock);
    bool stopped = writer->stop;
    writer->stop = true;
    (void)pthread_mutex_unlock(&writer->lock);
    if (!stopped) {
        CHECK(pthread_join(writer->thread, NULL) == 0);
    }
}

void demo_writer_free(struct demo_writer *writer)
{
    demo_writer_stop(writer);
    disconnect(writer);
    for (size_t i = 0; i < writer->silent_count; i++) {
        PQfinish(writer->silent[i].connection);
    }
    (void)pthread_mutex_destroy(&writer->lock);
    demo_rows_deinit(&writer->rows);
    mem_free(writer);
}

uint64_t demo_writer_acked(struct demo_writer *writer)
{
    (void)pthread_mutex_lock(&writer->lock);
    uint64_t count = writer->rows.count;
    (void)pthread_mutex_unlock(&writer->lock);
    return count;
}

uint64_t demo_writer_last_ack_ms(struct demo_writer *writer)
{
    (void)pthread_mutex_lock(&writer->lock);
    const struct demo_rows *rows = &writer->rows;
    uint64_t at_ms = rows->count == 0 ? 0 : rows->rows[rows->count - 1].at_ms;
    (void)pthread_mutex_unlock(&writer->lock);
    return at_ms;
}

uint64_t demo_writer_gap_ms(struct demo_writer *writer, uint64_t since_ms, uint64_t *resumed_ms_out)
{
    (void)pthread_mutex_lock(&writer->lock);
    uint64_t gap_ms = demo_rows_gap_ms(&writer->rows, since_ms, resumed_ms_out);
    (void)pthread_mutex_unlock(&writer->lock);
    return gap_ms;
}

bool demo_writer_count_lost(struct demo_writer *writer, int64_t *lost_out)
{
    CHECK(writer->stop); /* the thread is gone: its connections are ours */
    disconnect(writer);
    collect_late(writer);
    if (!connect_somewhere(writer, READ_BACK_MS)) {
        return false;
    }
    PGresult *result = run(writer, "SELECT id FROM indaba_demo ORDER BY id", READ_BACK_MS);
    bool read_back = result != NULL && PQresultStatus(result) == PGRES_TUPLES_OK;
    if (read_back) {
        *lost_out = count_missing(writer, result);
    }
    PQclear(result);
    return read_back;
}

static void *write_rows(void *ctx)
{
    struct demo_writer *writer = ctx;
    uint64_t id = 0;
    while (!must_stop(writer)) {
        if (writer->connection == NULL && !connect_somewhere(writer, CONNECT_MS)) {
            demo_sleep_ms(RETRY_PAUSE_MS);
            continue;
        }
        char statement[STATEMENT_SIZE];
        (void)snprintf(statement,
                       sizeof(statement),
                       "INSERT INTO indaba_demo (id) VALUES (%" PRIu64 ")",
                       ++id);
        writer->warned = false;
        PGresult *result = run(writer, statement, ANSWER_MS);
        bool acked = result != NULL && PQresultStatus(result) == PGRES_COMMAND_OK;
        PQclear(result);
        if (!acked) {
            set_aside(writer, id);
        } else if (!writer->warned) {
            (void)pthread_mutex_lock(&writer->lock);
            demo_rows_insert(&writer->rows, id, clock_monotonic_ms());
            (void)pthread_mutex_unlock(&writer->lock);
        }
        demo_sleep_ms(acked ? PAUSE_MS : 0);
    }
    disconnect(writer);
    return NULL;
}

static bool must_stop(struct demo_writer *writer)
{
    (void)pthread_mutex_lock(&writer->lock);
    bool stop = writer->stop;
    (void)pthread_mutex_unlock(&writer->lock);
    return stop;
}

/* Tries each instance once, the last good one first; makes the table if it is not there. */
static bool connect_somewhere(struct demo_writer *writer, uint64_t timeout_ms)
{
    CHECK(writer->connection == NULL);
    for (uint32_t i = 0; i < writer->instances; i++) {
        uint32_t instance = (writer->current + i) % writer->instances;
        PGconn *connection = PQconnectStart(writer->conninfo[instance]);
        uint64_t deadline_ms =
            clock_monotonic_ms() + (timeout_ms < CONNECT_MS ? timeout_ms : CONNECT_MS);
        if (!finish_connect(connection, deadline_ms)) {
            PQfinish(connection);
            continue;
        }
        writer->connection = connection;
        writer->current = instance;
        (void)PQsetNoticeReceiver(connection, on_notice, writer);
        PGresult *result = run(writer,
                               "CREATE TABLE IF NOT EXISTS indaba_demo (id bigint PRIMARY KEY, "
                               "written_at timestamptz DEFAULT clock_timestamp())",
                               ANSWER_MS);
        bool made = result != NULL && PQresultStatus(result) == PGRES_COMMAND_OK;
        PQclear(result);
        if (made) {
            return true;
        }
        disconnect(writer);
    }
    return false;
}

static bool finish_connect(PGconn *connection, uint64_t deadline_ms)
{
    if (connection == NULL || PQstatus(connection) == CONNECTION_BAD) {
        return false;
    }
    PostgresPollingStatusType state = PGRES_POLLING_WRITING;
    while (state == PGRES_POLLING_READING || state == PGRES_POLLING_WRITING) {
        short events = state == PGRES_POLLING_READING ? POLLIN : POLLOUT;
        if (!wait_socket(connection, events, deadline_ms)) {
            return false;
        }
        state = PQconnectPoll(connection);
    }
    return state == PGRES_POLLING_OK && PQsetnonblocking(connection, 1) == 0;
}

/* The last result of the statement; NULL if the deadline passed or the connection broke. */
static PGresult *run(struct demo_writer *writer, const char *statement, uint64_t timeout_ms)
{
    PGconn *connection = writer->connection;
    uint64_t deadline_ms = clock_monotonic_ms() + timeout_ms;
    if (PQsendQuery(connection, statement) != 1) {
        return NULL;
    }
    int unsent = 0;
    while ((unsent = PQflush(connection)) == 1) {
        if (!wait_socket(connection, POLLOUT, deadline_ms)) {
            return NULL;
        }
    }
    PGresult *last = NULL;
    while (unsent == 0) {
        while (PQisBusy(connection)) {
            if (!wait_socket(connection, POLLIN, deadline_ms) || PQconsumeInput(connection) != 1) {
                PQclear(last);
                return NULL;
            }
        }
        PGresult *result = PQgetResult(connection);
        if (result == NULL) {
            return last;
        }
        PQclear(last);
        last = result;
    }
    return NULL;
}

static bool wait_socket(const PGconn *connection, short events, uint64_t deadline_ms)
{
    uint64_t now_ms = clock_monotonic_ms();
    struct pollfd waited = {.fd = PQsocket(connection), .events = events};
    return now_ms < deadline_ms && waited.fd >= 0 &&
           poll(&waited, 1, (int)(deadline_ms - now_ms)) > 0;
}

static void disconnect(struct demo_writer *writer)
{
    if (writer->connection != NULL) {
        PQfinish(writer->connection);
        writer->connection = NULL;
    }
}

/* A broken connection says nothing any more; one that is merely silent may. */
static void set_aside(struct demo_writer *writer, uint64_t id)
{
    if (PQstatus(writer->connection) != CONNECTION_OK || !PQisBusy(writer->connection) ||
        writer->silent_count == SILENT_MAX) {
        disconnect(writer);
        return;
    }
    writer->silent[writer->silent_count++] = (struct silent_row){
        .id = id, .instance = writer->names[writer->current], .connection = writer->connection};
    writer->connection = NULL;
}

/* Late answers make their rows acknowledged ones: they must not be missing either. */
static void collect_late(struct demo_writer *writer)
{
    for (size_t i = 0; i < writer->silent_count; i++) {
        if (is_acked_late(writer, writer->silent[i].connection)) {
            /* Read back like all the others: on a sync shard a standby had it before the silent
             * primary was excluded, and so has the new one. */
            (void)printf("row %" PRIu64 " was acknowledged by %s late, after a silence\n",
                         writer->silent[i].id,
                         writer->silent[i].instance);
            demo_rows_insert(&writer->rows, writer->silent[i].id, clock_monotonic_ms());
        }
        PQfinish(writer->silent[i].connection);
    }
    writer->silent_count = 0;
}

static bool is_acked_late(struct demo_writer *writer, PGconn *connection)
{
    writer->warned = false;
    (void)PQconsumeInput(connection); /* an end of the connection comes as a result, too */
    if (PQisBusy(connection)) {
        return false;
    }
    PGresult *result = PQgetResult(connection);
    bool acked = result != NULL && PQresultStatus(result) == PGRES_COMMAND_OK && !writer->warned;
    PQclear(result);
    return acked;
}

static void on_notice(void *ctx, const PGresult *result)
{
    struct demo_writer *writer = ctx;
    const char *state = PQresultErrorField(result, PG_DIAG_SQLSTATE);
    if (state != NULL && strcmp(state, "01000") == 0) {
        writer->warned = true;
    }
}

static int64_t count_missing(const struct demo_writer *writer, const PGresult *present)
{
    size_t count = (size_t)PQntuples(present);
    uint64_t *ids = mem_new_array(count + 1, sizeof(*ids));
    for (size_t i = 0; i < count; i++) {
        ids[i] = strtoull(PQgetvalue(present, (int)i, 0), NULL, 10);
    }
    int64_t missing = demo_rows_print_missing(&writer->rows, ids, count);
    mem_free(ids);
    return missing;
}
