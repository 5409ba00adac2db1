/* SPDX-License-Identifier: Apache-2.0 */
/* What the demo tells at the end: the failover as the cluster recorded it together with what the
 * client saw, how to look around, the tails of the logs if it went wrong, and the line for
 * programs, whose form is promised in docs/operations.md. */
#include "base/check.h"
#include "base/clock.h"
#include "cmd/cli_shard.h"
#include "cmd/demo.h"

#include <inttypes.h>
#include <stdio.h>
#include <string.h>

enum {
    TAIL_LINES = 8,
    TAIL_SIZE = 4096,
    LOG_PATH_SIZE = DEMO_PATH_SIZE + 32
};

static void print_tail(const char *path);

void demo_report_failover(struct demo *demo,
                          const Indaba__V1__Failover *failover,
                          uint64_t since_ms)
{
    struct buf out = {0};
    char wall[CLOCK_WALL_TEXT_SIZE];
    uint64_t resumed_ms = since_ms;
    demo->rto_ms = (int64_t)demo_writer_gap_ms(demo->writer, since_ms, &resumed_ms);
    (void)snprintf(demo->proof, sizeof(demo->proof), "%s", failover->proof);
    cli_failover_print(failover, &out);
    uint64_t resumed_wall_ms = clock_wall_ms() - (clock_monotonic_ms() - resumed_ms);
    if (failover->detected_wall_ms > 0) {
        buf_printf(&out,
                   "  %s  +%" PRId64 " ms  first write of the demo's client\n",
                   clock_format_wall(resumed_wall_ms, wall),
                   (int64_t)(resumed_wall_ms - failover->detected_wall_ms));
    }
    buf_printf(&out,
               "longest pause between two acknowledged rows: %" PRId64 " ms; it ended %" PRIu64
               " ms after the failure\n",
               demo->rto_ms,
               resumed_ms - since_ms);
    cli_print(&out);
}

void demo_report_ready(const struct demo *demo)
{
    (void)printf("\nlook around:\n  export INDABA_MEMBERS=%s INDABA_CERTS=%s\n  indaba status\n"
                 "  indaba shard uri main\nCtrl-C ends everything\n",
                 demo->members,
                 demo->certs);
    (void)printf("ready: members=%s ops=http://127.0.0.1:%u certs=%s\n",
                 demo->members,
                 demo->regions[0].ops_port,
                 demo->certs);
    (void)fflush(stdout);
}

void demo_report_logs(const struct demo *demo)
{
    static const char *const LOGS[] = {"member.log", "sidecar.log", "db/log/postgres.log"};
    (void)fflush(stdout);
    for (uint32_t i = 0; i < demo->regions_count; i++) {
        for (size_t k = 0; k < ARRAY_LEN(LOGS) && demo->regions[i].dir[0] != '\0'; k++) {
            char path[LOG_PATH_SIZE];
            (void)snprintf(path, sizeof(path), "%s/%s", demo->regions[i].dir, LOGS[k]);
            print_tail(path);
        }
    }
}

void demo_report_result(const struct demo *demo)
{
    char rto[32] = "-";
    char lost[32] = "-";
    if (demo->rto_ms >= 0) {
        (void)snprintf(rto, sizeof(rto), "%" PRId64, demo->rto_ms);
    }
    if (demo->lost_acked >= 0) {
        (void)snprintf(lost, sizeof(lost), "%" PRId64, demo->lost_acked);
    }
    (void)printf("demo: rto_ms=%s lost_acked=%s ledger_leaves=%" PRIu64
                 " roots_agree=%s proof=%s\n",
                 rto,
                 lost,
                 demo->leaves,
                 demo->roots_agree ? "yes" : "no",
                 demo->proof);
}

/* The last lines, to stderr. A log that is not there was never begun. */
static void print_tail(const char *path)
{
    char text[TAIL_SIZE];
    FILE *file = fopen(path, "re");
    if (file == NULL) {
        return;
    }
    /* Shorter than the tail: from its beginning, where a new stream is. */
    (void)fseek(file, -(long)(sizeof(text) - 1), SEEK_END);
    size_t len = fread(text, 1, sizeof(text) - 1, file);
    (void)fclose(file);
    text[len] = '\0';
    size_t from = len;
    for (uint32_t lines = 0; from > 0; from--) {
        if (text[from - 1] == '\n' && from < len && ++lines == TAIL_LINES) {
            break;
        }
    }
    if (len > 0) {
        (void)fprintf(stderr, "--- %s\n%s", path, text + from);
    }
}
