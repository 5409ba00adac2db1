/* SPDX-License-Identifier: Apache-2.0 */
/* See pg_probe.h. */
#include "replication/postgres/pg_probe.h"

#include "base/check.h"
#include "replication/postgres/pg_bounds.h"
#include "replication/postgres/pg_history.h"
#include "replication/postgres/pg_last_good.h"
#include "replication/postgres/pg_lineage.h"
#include "replication/postgres/pg_words.h"
#include "replication/start_nonce.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

enum {
    PAGE_SIZE = 8192,
    PAGE_HEADER_SHORT = 24,
    PAGE_HEADER_LONG = 40,
};

/* Functions instead of the views over them: those read catalogs, which somebody may have locked.
 * pg_control's timeline lags behind a standby's; its newest segment names the one it writes. */
static const char LOOK_SQL[] =
    "SELECT pg_is_in_recovery(), s.system_identifier, c.redo_lsn,"
    " current_setting('primary_conninfo'), pg_last_wal_receive_lsn(), pg_last_wal_replay_lsn(),"
    " CASE WHEN pg_is_in_recovery() THEN NULL ELSE pg_current_wal_flush_lsn() END,"
    " CASE WHEN pg_is_in_recovery() THEN NULL ELSE pg_current_wal_insert_lsn() END,"
    " CASE WHEN pg_is_in_recovery() THEN"
    "  (SELECT max(substr(name, 1, 8)) FROM pg_ls_waldir() WHERE name ~ '^[0-9A-F]{24}$')"
    "  ELSE substr(pg_walfile_name(pg_current_wal_insert_lsn()), 1, 8) END,"
    " EXISTS (SELECT FROM pg_stat_get_activity(NULL) WHERE backend_type = 'walreceiver'),"
    " r.status = 'streaming',"
    " greatest(0, extract(epoch FROM clock_timestamp() - r.last_msg_receipt_time) * 1000)::bigint,"
    " CASE WHEN pg_is_in_recovery() THEN pg_get_wal_replay_pause_state() = 'paused' END,"
    " r.conninfo,"
    " CASE WHEN pg_is_in_recovery() THEN"
    "  (SELECT greatest(0, current_setting('max_replication_slots')::bigint - count(*))"
    "   FROM pg_get_replication_slots() WHERE slot_name !~ '^indaba_[0-9]+$') END,"
    /* Anybody can give a value to a name that no library has; but that is not shown here. */
    " CASE WHEN current_setting('indaba.gate', true) <> '' THEN"
    "  (SELECT setting FROM pg_show_all_settings() WHERE name = 'indaba.gate') END"
    " FROM pg_control_system() s CROSS JOIN pg_control_checkpoint() c"
    " LEFT JOIN pg_stat_get_wal_receiver() r ON r.pid IS NOT NULL";

enum look_column {
    LOOK_IN_RECOVERY,
    LOOK_SYSTEM,
    LOOK_REDO,
    LOOK_CONNINFO,
    LOOK_RECEIVE,
    LOOK_REPLAY,
    LOOK_FLUSH,
    LOOK_INSERT,
    LOOK_TIMELINE,
    LOOK_RECEIVER_RUNNING,
    LOOK_RECEIVER_STREAMING,
    LOOK_RECEIVER_SILENCE,
    LOOK_PAUSED,
    LOOK_RECEIVER_CONNINFO,
    LOOK_SLOTS_ROOM,
    LOOK_GATE,
};

/* A standby of ours streams from its slot, which nobody else can have meanwhile. To
 * synchronous_standby_names capital letters are as good as small ones. */
#define SENDERS                                                                          \
    "(SELECT w.pid, w.state, w.flush_lsn, w.sync_priority,"                              \
    "  lower(a.application_name COLLATE \"C\") AS name FROM pg_stat_get_wal_senders() w" \
    "  JOIN pg_stat_get_activity(NULL) a ON a.pid = w.pid) r"                            \
    " LEFT JOIN pg_get_replication_slots() s ON s.active_pid = r.pid"                    \
    " AND s.slot_name = 'indaba_' || split_part(name, '_', 3)"                           \
    " WHERE name ~ '^indaba_[0-9]+_[0-9]+_[0-9a-f]+$' AND state IN ('streaming', 'catchup')"
static const char SENDERS_SQL[] = "SELECT name, state = 'streaming', flush_lsn, sync_priority,"
                                  " s.slot_name IS NULL FROM " SENDERS;
static const char END_STRANGERS_SQL[] =
    "SELECT count(pg_terminate_backend(r.pid)) FROM " SENDERS " AND s.slot_name IS NULL";

static const char SLOTS_SQL[] = "SELECT count(*) FROM pg_get_replication_slots()"
                                " WHERE slot_name ~ '^indaba_[0-9]+$'";

static void look_once(struct work *work,
                      struct pg_prober *prober,
                      const struct pg_watch_wants *wants,
                      struct pg_look *look);
static enum error look_at_roles(struct work *work, struct pg_prober *prober, struct pg_look *look);
static void take_look(const struct pg_rows *rows, struct pg_look *look);
static enum error
look_at_senders(struct work *work, struct pg_prober *prober, struct pg_look *look);
static enum error end_strangers(struct work *work, struct pg_prober *prober, struct pg_look *look);
static bool parse_member(const char *name, struct sync_member *member);
static enum error look_at_fork(struct work *work, struct pg_prober *prober, struct pg_look *look);
static void note_held(struct pg_prober *prober, struct pg_look *look);
static uint64_t record_end(uint64_t insert_lsn);

void pg_probe(struct work *work,
              struct pg_prober *prober,
              bool running,
              const struct pg_watch_wants *wants,
              struct pg_look *look_out)
{
    char path[PG_PATH_SIZE * 2];
    struct pg_look look = {.answered = ERR_REFUSED};

    (void)snprintf(path, sizeof(path), "%s/PG_VERSION", prober->place->data);
    look.folder = access(path, F_OK) == 0;
    if (!running) {
        pg_prober_deinit(prober);
        prober->fork = (struct fork){0};
        prober->sample_lsn = prober->held_lsn = 0;
        prober->lockout = (struct pg_lockout){0};
        const struct start_place at = {.data = prober->place->data,
                                       .state = prober->place->state,
                                       .user = &prober->place->user};
        start_nonce_read(&at, &look.left);
        *look_out = look;
        return;
    }
    look_once(work, prober, wants, &look);
    if (look.answered == ERR_OK && look.watch.load_us == 0 && look.locked[0] == '\0') {
        /* This session took new settings. Only a new one tells when the postmaster did. */
        pg_prober_looked(prober, ERR_OK);
        prober->looks = 0;
        look_once(work, prober, wants, &look);
    }
    look.starting = look.answered == ERR_UNAVAILABLE || look.answered == ERR_REFUSED;
    if (look.answered == ERR_DENIED) {
        (void)snprintf(look.refused, sizeof(look.refused), "%s", work->message);
        pg_watch_files(prober->place, &look.watch);
    }
    pg_prober_looked(prober, look.answered);
    *look_out = look;
}

static void look_once(struct work *work,
                      struct pg_prober *prober,
                      const struct pg_watch_wants *wants,
                      struct pg_look *look)
{
    struct pg_rows *rows = NULL;

    look->walsenders_count = 0;
    look->answered = pg_prober_connect(work, prober, look->locked);
    if (look->answered == ERR_OK) {
        look->answered = pg_conn_query(work, prober->conn, LOOK_SQL, PG_PROBE_MS, &rows);
    }
    if (look->answered == ERR_OK && pg_rows_count(rows) == 1) {
        take_look(rows, look);
        look->backend_pid = pg_conn_backend_pid(prober->conn);
        if (!look->in_recovery) {
            look->answered = look_at_senders(work, prober, look);
        }
    }
    if (look->answered == ERR_OK && !look->in_recovery) {
        look->answered = look_at_fork(work, prober, look);
    }
    if (look->answered == ERR_OK && look->in_recovery && look->conninfo_of.value != 0 &&
        !look->receiver_streaming) {
        look->wal_lost = pg_words_wal_is_lost(prober->place);
    }
    if (look->answered == ERR_OK && look->replay_paused) {
        look->answered = pg_bounds_lower(work, prober->conn, prober->place, look->too_low);
    }
    if (look->answered == ERR_OK && look->in_recovery && look->too_low[0] == '\0') {
        pg_bounds_slots_low(pg_rows_number(rows, 0, LOOK_SLOTS_ROOM), look->too_low);
    }
    if (rows != NULL) {
        pg_rows_free(rows);
    }
    if (look->answered == ERR_OK) {
        look->answered = look_at_roles(work, prober, look);
    }
    if (look->answered == ERR_OK) {
        look->answered = pg_watch(work, prober->conn, prober->place, wants, &look->watch);
    }
    if (look->answered == ERR_OK && look->strangers > 0) {
        look->answered = end_strangers(work, prober, look);
    }
    if (look->answered == ERR_OK) {
        pg_last_good_worked(prober->place);
        pg_last_good_tell(prober->place, look->set_back, sizeof(look->set_back));
        note_held(prober, look);
    }
}

/* They stand in catalogs. */
static enum error look_at_roles(struct work *work, struct pg_prober *prober, struct pg_look *look)
{
    if (look->locked[0] == '\0') {
        TRY(pg_roles_look(work, prober->conn, prober->place, &prober->password, &prober->roles));
    }
    look->watch.roles = prober->roles;
    return ERR_OK;
}

static void take_look(const struct pg_rows *rows, struct pg_look *look)
{
    const char *conninfo = pg_rows_text(rows, 0, LOOK_CONNINFO);

    const char *gate = pg_rows_text(rows, 0, LOOK_GATE);
    (void)snprintf(look->gate, sizeof(look->gate), "%.60s", gate != NULL ? gate : "");
    look->in_recovery = pg_rows_bool(rows, 0, LOOK_IN_RECOVERY);
    look->system_identifier = pg_rows_number(rows, 0, LOOK_SYSTEM);
    look->redo_lsn = pg_rows_lsn(rows, 0, LOOK_REDO);
    look->receive_lsn = pg_rows_lsn(rows, 0, LOOK_RECEIVE);
    look->replay_lsn = pg_rows_lsn(rows, 0, LOOK_REPLAY);
    look->flush_lsn = pg_rows_lsn(rows, 0, LOOK_FLUSH);
    look->insert_lsn = record_end(pg_rows_lsn(rows, 0, LOOK_INSERT));
    look->timeline = pg_rows_timeline(rows, 0, LOOK_TIMELINE);
    pg_conninfo_parse(conninfo != NULL ? conninfo : "", &look->conninfo_of, look->conninfo_address);
    look->nameless = conninfo != NULL && pg_conninfo_is_nameless(conninfo);
    if (look->in_recovery) {
        look->receiver_running = pg_rows_bool(rows, 0, LOOK_RECEIVER_RUNNING);
        look->receiver_streaming = pg_rows_bool(rows, 0, LOOK_RECEIVER_STREAMING);
        uint64_t silence_ms = pg_rows_number(rows, 0, LOOK_RECEIVER_SILENCE);
        look->replay_paused = pg_rows_bool(rows, 0, LOOK_PAUSED);
        /* PostgreSQL may keep a receiver that was just starting when its conninfo changed. */
        const char *used = pg_rows_text(rows, 0, LOOK_RECEIVER_CONNINFO);
        look->nameless = look->nameless || (used != NULL && pg_conninfo_is_nameless(used));
        look->receiver_silence_ms = silence_ms < UINT32_MAX ? (uint32_t)silence_ms : UINT32_MAX;
    }
}

static enum error look_at_senders(struct work *work, struct pg_prober *prober, struct pg_look *look)
{
    struct pg_rows *rows = NULL;

    TRY(pg_conn_query(work, prober->conn, SENDERS_SQL, PG_PROBE_MS, &rows));
    for (int i = 0; i < pg_rows_count(rows) && look->walsenders_count < PG_WALSENDERS_MAX; i++) {
        struct sync_member member = {0};
        const char *name = pg_rows_text(rows, i, 0);
        if (name == NULL || !parse_member(name, &member)) {
            continue; /* somebody else's */
        }
        if (pg_rows_bool(rows, i, 4)) {
            look->strangers++;
            continue;
        }
        look->walsenders[look->walsenders_count++] = (struct pg_walsender){
            .member = member,
            .streaming = pg_rows_bool(rows, i, 1),
            .flush_lsn = pg_rows_lsn(rows, i, 2),
            .sync_priority = (uint32_t)pg_rows_number(rows, i, 3),
        };
    }
    pg_rows_free(rows);
    TRY(pg_conn_query(work, prober->conn, SLOTS_SQL, PG_PROBE_MS, &rows));
    look->slots_count = (uint32_t)pg_rows_number(rows, 0, 0);
    pg_rows_free(rows);
    return ERR_OK;
}

/* Commits may have been acknowledged on its word: as if a setting had not been in force. A standby
 * that ends lets go of its slot a moment before it is gone from the list: that is nobody else. */
static enum error end_strangers(struct work *work, struct pg_prober *prober, struct pg_look *look)
{
    size_t len = strlen(look->watch.differs);
    struct pg_rows *rows = NULL;

    TRY(pg_conn_query(work, prober->conn, END_STRANGERS_SQL, PG_PROBE_MS, &rows));
    bool ended = pg_rows_number(rows, 0, 0) > 0;
    pg_rows_free(rows);
    if (!ended) {
        return ERR_OK;
    }
    look->watch.in_force = true;
    (void)snprintf(look->watch.differs + len,
                   sizeof(look->watch.differs) - len,
                   "%ssomebody else streamed under the name of a standby",
                   len > 0 ? ", " : "");
    return ERR_OK;
}

/* "indaba_SHARD_INSTANCE_INCARNATION", as sync_member_name writes it. */
static bool parse_member(const char *name, struct sync_member *member)
{
    char *end = NULL;

    if (strncmp(name, "indaba_", 7) != 0) {
        return false;
    }
    (void)strtoul(name + 7, &end, 10);
    if (*end != '_') {
        return false;
    }
    member->instance.value = (uint32_t)strtoul(end + 1, &end, 10);
    if (*end != '_') {
        return false;
    }
    member->incarnation.value = strtoull(end + 1, &end, 16);
    return *end == '\0' && member->instance.value != 0;
}

static enum error look_at_fork(struct work *work, struct pg_prober *prober, struct pg_look *look)
{
    if (prober->fork.timeline != look->timeline) {
        TRY(pg_history_read(work, prober->conn, look->timeline, &prober->fork));
    }
    look->fork = prober->fork;
    return ERR_OK;
}

/* What is replayed was flushed before, and ends with a record; but while its receiver begins a new
 * timeline, the file of that is not filled up to there. A flush position may lie in the middle of a
 * record: the end of one is remembered, and held once the flush has reached it. */
static void note_held(struct pg_prober *prober, struct pg_look *look)
{
    bool in_file = true;

    if (look->in_recovery) {
        prober->sample_lsn = 0;
        prober->held_lsn = look->replay_lsn;
        in_file = look->receive_lsn == 0 || look->receive_lsn >= look->replay_lsn;
    } else if (prober->sample_lsn == 0 || look->flush_lsn >= prober->sample_lsn) {
        prober->held_lsn = prober->sample_lsn;
        prober->sample_lsn = look->insert_lsn;
    }
    look->held_lsn = prober->held_lsn;
    const struct position held = {look->timeline, look->held_lsn};
    look->fingerprint = in_file ? pg_lineage_fingerprint(prober->place, held) : 0;
}

/* The insert position is where the next record will begin: behind a page header when the last one
 * ended exactly at the end of a page. */
static uint64_t record_end(uint64_t insert_lsn)
{
    uint64_t offset = insert_lsn % PAGE_SIZE;

    return offset == PAGE_HEADER_SHORT || offset == PAGE_HEADER_LONG ? insert_lsn - offset
                                                                     : insert_lsn;
}
