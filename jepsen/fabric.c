/* SPDX-License-Identifier: Apache-2.0 */
/* fabric SEED NAME=ADDRESS…: makes a host for each name, says "host NAME FD" of each (its namespace
 * is /proc/PID/fd/FD), then "ready", and passes packets on until its input ends. It takes orders
 * from its input, a line each, and answers "ok …" or "error: …":
 *
 *   link FROM TO DELAY_US JITTER_US LOSS_PPM BYTES_PER_S   one direction
 *   cuts [FROM>TO …]                                       exactly these directions are cut
 *   counts                                                 ok PASSED LOST CUT */
#include "jepsen/fabric.h"

#include "base/check.h"
#include "base/mem.h"

#include <arpa/inet.h>
#include <inttypes.h>
#include <poll.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/prctl.h>
#include <time.h>
#include <unistd.h>

enum {
    LINE_MAX_BYTES = 4096,
    PACKETS_A_ROUND = 64,
    DESTINATION_AT = 16, /* in an IPv4 header */
    HEADER_LEN_MIN = 20,
    PACKET_MAX = 65536,
};

struct fabric {
    struct fabric_host hosts[FAR_HOSTS_MAX];
    uint32_t hosts_count;
    struct far_links links;
    struct fabric_queue queue;
    char line[LINE_MAX_BYTES];
    size_t line_len;
};

static uint64_t now_us(void)
{
    struct timespec now;

    CHECK(clock_gettime(CLOCK_MONOTONIC, &now) == 0);
    return (uint64_t)now.tv_sec * 1000000 + (uint64_t)now.tv_nsec / 1000;
}

static bool find(const struct fabric *fabric, const char *name, uint32_t *out)
{
    for (uint32_t i = 0; i < fabric->hosts_count; i++) {
        if (strcmp(fabric->hosts[i].name, name) == 0) {
            *out = i;
            return true;
        }
    }
    return false;
}

static bool order_link(struct fabric *fabric, const char *words)
{
    char names[2][FABRIC_NAME_MAX];
    uint64_t delay;
    uint64_t jitter;
    uint64_t bytes;
    uint32_t loss;
    uint32_t ends[2];

    if (sscanf(words,
               "%31s %31s %" SCNu64 " %" SCNu64 " %" SCNu32 " %" SCNu64,
               names[0],
               names[1],
               &delay,
               &jitter,
               &loss,
               &bytes) != 6 ||
        !find(fabric, names[0], &ends[0]) || !find(fabric, names[1], &ends[1])) {
        return false;
    }
    struct far_link *link = &fabric->links.links[ends[0]][ends[1]];
    link->delay_us = delay;
    link->jitter_us = jitter;
    link->loss_ppm = loss;
    link->bytes_per_s = bytes;
    return true;
}

/* All of them or none. */
static bool order_cuts(struct fabric *fabric, char *words)
{
    uint32_t pairs[FAR_HOSTS_MAX * FAR_HOSTS_MAX][2];
    uint32_t count = 0;
    char *rest = NULL;

    for (char *word = strsep(&words, " "); word != NULL; word = strsep(&words, " ")) {
        char *arrow = strchr(word, '>');
        if (*word == '\0') {
            continue;
        }
        if (arrow == NULL || count == ARRAY_LEN(pairs)) {
            return false;
        }
        *arrow = '\0';
        rest = arrow + 1;
        if (!find(fabric, word, &pairs[count][0]) || !find(fabric, rest, &pairs[count][1])) {
            return false;
        }
        count++;
    }
    far_links_heal(&fabric->links);
    for (uint32_t i = 0; i < count; i++) {
        fabric->links.links[pairs[i][0]][pairs[i][1]].cut = true;
    }
    return true;
}

static void obey(struct fabric *fabric, char *line)
{
    bool done = false;

    if (strcmp(line, "counts") == 0) {
        (void)printf("ok %" PRIu64 " %" PRIu64 " %" PRIu64 "\n",
                     fabric->links.passed,
                     fabric->links.lost,
                     fabric->links.cut);
        (void)fflush(stdout);
        return;
    }
    if (strncmp(line, "link ", 5) == 0) {
        done = order_link(fabric, line + 5);
    } else if (strcmp(line, "cuts") == 0 || strncmp(line, "cuts ", 5) == 0) {
        done = order_cuts(fabric, line + 4);
    }
    (void)printf("%s\n", done ? "ok" : "error: no such order, or no such host");
    (void)fflush(stdout);
}

/* False at the end of the input. */
static bool read_orders(struct fabric *fabric)
{
    ssize_t got = read(
        STDIN_FILENO, fabric->line + fabric->line_len, sizeof(fabric->line) - 1 - fabric->line_len);

    if (got <= 0) {
        return false;
    }
    fabric->line_len += (size_t)got;
    fabric->line[fabric->line_len] = '\0';
    for (;;) {
        char *end = strchr(fabric->line, '\n');
        if (end == NULL) {
            return fabric->line_len < sizeof(fabric->line) - 1;
        }
        *end = '\0';
        size_t used = (size_t)(end + 1 - fabric->line);
        obey(fabric, fabric->line);
        memmove(fabric->line, end + 1, fabric->line_len - used + 1);
        fabric->line_len -= used;
    }
}

static void take_in(struct fabric *fabric, uint32_t from)
{
    uint8_t packet[PACKET_MAX];

    for (int i = 0; i < PACKETS_A_ROUND; i++) {
        ssize_t len = read(fabric->hosts[from].device, packet, sizeof(packet));
        if (len < HEADER_LEN_MIN) {
            return;
        }
        if (packet[0] >> 4 != 4) {
            continue; /* what IPv6 says of itself */
        }
        uint32_t address;
        memcpy(&address, packet + DESTINATION_AT, sizeof(address));
        for (uint32_t to = 0; to < fabric->hosts_count; to++) {
            uint64_t due;
            if (fabric->hosts[to].address == address &&
                far_links_pass(
                    &fabric->links, (uint32_t[]){from, to}, (size_t)len, now_us(), &due) &&
                !fabric_queue_put(&fabric->queue, due, to, packet, (uint32_t)len)) {
                fabric->links.lost++;
            }
        }
    }
}

static void give_out(struct fabric *fabric)
{
    struct fabric_packet packet;

    while (fabric_queue_take(&fabric->queue, now_us(), &packet)) {
        if (write(fabric->hosts[packet.to].device, packet.bytes, packet.len) < 0) {
            fabric->links.lost++; /* the host's own queue is full */
        }
        mem_free(packet.bytes);
    }
}

static void run(struct fabric *fabric)
{
    struct pollfd waited[FAR_HOSTS_MAX + 1];

    for (;;) {
        uint64_t first = fabric_queue_first_us(&fabric->queue);
        uint64_t now = now_us();
        uint64_t left = first == 0 ? 3600000000 : first > now ? first - now : 0;
        struct timespec wait = {.tv_sec = (time_t)(left / 1000000),
                                .tv_nsec = (long)(left % 1000000 * 1000)};
        for (uint32_t i = 0; i < fabric->hosts_count; i++) {
            waited[i] = (struct pollfd){.fd = fabric->hosts[i].device, .events = POLLIN};
        }
        waited[fabric->hosts_count] = (struct pollfd){.fd = STDIN_FILENO, .events = POLLIN};
        if (ppoll(waited, fabric->hosts_count + 1, &wait, NULL) < 0) {
            return;
        }
        give_out(fabric);
        for (uint32_t i = 0; i < fabric->hosts_count; i++) {
            if (waited[i].revents != 0) {
                take_in(fabric, i);
            }
        }
        if (waited[fabric->hosts_count].revents != 0 && !read_orders(fabric)) {
            return;
        }
    }
}

int main(int argc, char **argv)
{
    static struct fabric fabric;

    (void)prctl(PR_SET_PDEATHSIG, 9, 0, 0, 0);
    if (argc < 3 || argc - 2 > FAR_HOSTS_MAX) {
        (void)fprintf(stderr, "usage: fabric SEED NAME=ADDRESS…\n");
        return 2;
    }
    for (int i = 2; i < argc; i++) {
        char *address = strchr(argv[i], '=');
        if (address == NULL) {
            return 2;
        }
        *address = '\0';
        struct fabric_host *host = &fabric.hosts[fabric.hosts_count++];
        fabric_host_make(host, argv[i], address + 1);
        (void)printf("host %s %d\n", host->name, host->namespace_fd);
    }
    far_links_init(&fabric.links, fabric.hosts_count, strtoull(argv[1], NULL, 10));
    (void)printf("ready\n");
    (void)fflush(stdout);
    run(&fabric);
    fabric_queue_deinit(&fabric.queue);
    return 0;
}
