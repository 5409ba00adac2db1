/* SPDX-License-Identifier: Apache-2.0 */
/* `indaba demo`: a whole world of regions on this machine, one of which dies. The parts: demo.c the
 * order of events, demo_world.c files and configuration, demo_proc.c processes, demo_writer.c the
 * client that writes (demo_rows.c what it remembers), demo_watch.c what the cluster says,
 * demo_report.c what is told at the end. The demo never tells the cluster anything about what it
 * does to it. */
#ifndef INDABA_CMD_DEMO_H
#define INDABA_CMD_DEMO_H

#include "cmd/cli.h"
#include "indaba/v1/cluster.pb-c.h"

#include <sys/types.h>

enum {
    DEMO_REGIONS_MAX = 5,
    DEMO_PATH_SIZE = 256,
    DEMO_NAME_SIZE = 32,
    DEMO_ADDRESS_SIZE = 32,
    DEMO_DIR_MAX = 48,
};

enum demo_kill {
    DEMO_KILL_REGION,
    DEMO_KILL_INSTANCE,
    DEMO_KILL_PROCESS,
    DEMO_KILL_FREEZE,
    DEMO_KILL_NONE
};

struct demo_region {
    const char *name;
    char dir[DEMO_PATH_SIZE];
    char member_config[DEMO_PATH_SIZE];
    char sidecar_config[DEMO_PATH_SIZE];
    char member_log[DEMO_PATH_SIZE];
    char sidecar_log[DEMO_PATH_SIZE];
    char member_id[33];
    uint16_t peer_port;
    uint16_t api_port;
    uint16_t ops_port;
    uint16_t database_port;
    uint16_t http_port;
    pid_t member;  /* 0: not running */
    pid_t sidecar; /* 0: not running */
};

struct demo_writer;

struct demo {
    enum demo_kill kill;
    bool async;
    bool databases;
    bool keep;
    uint32_t regions_count;
    uint64_t kill_after_ms;
    char dir[DEMO_PATH_SIZE];
    bool dir_is_ours; /* made by us: removed at the end */
    char certs[DEMO_PATH_SIZE];
    char members[DEMO_REGIONS_MAX * DEMO_ADDRESS_SIZE];
    char user[DEMO_NAME_SIZE]; /* that databases run as */
    struct demo_region regions[DEMO_REGIONS_MAX];
    struct cli cli;
    struct demo_writer *writer;

    /* What happened. */
    int64_t rto_ms;     /* -1: does not apply */
    int64_t lost_acked; /* -1: does not apply */
    uint64_t leaves;
    bool roots_agree;
    char proof[16];
    const char *failure; /* why the demo failed; NULL if it did not */
};

/* argv[0] is "demo". */
int demo_main(int argc, char **argv);

/* demo_options.c: false if the demo should end at once, with *exit_out. */
bool demo_options_parse(struct demo *demo, int argc, char **argv, int *exit_out);

/* demo_world.c: makes folder, ports, certificates and configurations. False with a message. */
bool demo_world_make(struct demo *demo);
void demo_world_remove(const struct demo *demo);

/* demo_proc.c */
void demo_proc_init(void);
bool demo_proc_start_member(struct demo *demo, struct demo_region *region);
bool demo_proc_start_sidecar(struct demo *demo, struct demo_region *region);
/* Sends a signal to every process of the region (`member`: the coordinator as well), and for
 * SIGKILL repeats until none is left. */
void demo_proc_signal(struct demo *demo, struct demo_region *region, int number, bool member);
/* SIGKILL to the postmaster alone. */
bool demo_proc_kill_postmaster(const struct demo_region *region);
/* Ends everything; nothing of the demo's folder runs afterwards. */
void demo_proc_end_all(struct demo *demo);
/* Reaps what died. */
void demo_proc_reap(struct demo *demo);
/* True once SIGINT or SIGTERM came. */
bool demo_proc_interrupted(void);
void demo_sleep_ms(uint32_t ms);

/* demo_writer.c: a thread that writes numbered rows through whichever instance takes them. */
struct demo_writer *demo_writer_start(const struct demo *demo);
/* Stops writing; figures stay readable. */
void demo_writer_stop(struct demo_writer *writer);
void demo_writer_free(struct demo_writer *writer);
uint64_t demo_writer_acked(struct demo_writer *writer);
/* Monotonic milliseconds of the last acknowledged row; 0 if none. */
uint64_t demo_writer_last_ack_ms(struct demo_writer *writer);
/* The longest pause between two acknowledged rows of which the later came after `since_ms`, and
 * when it ended (untouched if there is none). Monotonic milliseconds. */
uint64_t
demo_writer_gap_ms(struct demo_writer *writer, uint64_t since_ms, uint64_t *resumed_ms_out);
/* Reads all rows back from the primary and counts acknowledged ones that are not there, those
 * included that a primary acknowledged late, after a silence; prints their numbers. False if they
 * cannot be read. */
bool demo_writer_count_lost(struct demo_writer *writer, int64_t *lost_out);

/* demo_watch.c */
/* The status as the leader has it; NULL if nobody answers. Lives until the next call. */
const Indaba__V1__GetStatusResponse *demo_watch_status(struct demo *demo);
/* Waits until a leader has written the founding configuration into the log: before that, every
 * command is refused. False with demo->failure set. */
bool demo_watch_founded(struct demo *demo);
const Indaba__V1__Shard *demo_watch_shard(struct demo *demo);
/* The region whose instance is primary; NULL if none. */
struct demo_region *demo_watch_primary(struct demo *demo, const Indaba__V1__Shard *shard);
/* Draws regions, roles, leases and lags; in place on a terminal, else only when roles change. */
void demo_watch_draw(struct demo *demo, const Indaba__V1__Shard *shard);
/* Waits, drawing, until `holds`; false after timeout_ms or Ctrl-C. */
bool demo_watch_until(struct demo *demo,
                      bool (*holds)(struct demo *demo, const Indaba__V1__Shard *shard, void *ctx),
                      void *ctx,
                      uint32_t timeout_ms);

/* demo_members.c: the demo without databases. Returns false with demo->failure set. */
bool demo_members_run(struct demo *demo);

/* demo_report.c: what is told at the end. The first sets demo->rto_ms and proof; logs go to stderr.
 */
void demo_report_failover(struct demo *demo,
                          const Indaba__V1__Failover *failover,
                          uint64_t since_ms);
void demo_report_ready(const struct demo *demo);
void demo_report_logs(const struct demo *demo);
void demo_report_result(const struct demo *demo);

#endif
