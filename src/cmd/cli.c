/* SPDX-License-Identifier: Apache-2.0 */
/* See cmd/cli.h. */
#include "cmd/cli.h"

#include "base/check.h"
#include "base/clock.h"
#include "base/ids.h"
#include "base/mem.h"
#include "cmd/screen.h"

#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <uv.h>

enum {
    TIMEOUT_MS = 10000,
    PATH_SIZE = 512
};

struct pending_call {
    struct cli *cli;
    const char *path;
    const ProtobufCMessageDescriptor *reply_descriptor;
    ProtobufCMessage *reply;
    int exit;
    bool done;
};

static size_t split_members(char *text, const char **addresses, size_t max);
static void on_call_done(const struct client_result *result, void *ctx);
static const char *screen_copy(struct cli *cli, const char *text);
static int exit_of(enum grpc_status status);
static void pause_over(uv_timer_t *timer);
static void pause_closed(uv_handle_t *timer);
static void close_handle(uv_handle_t *handle, void *ctx);

void cli_init(struct cli *cli, const char *program)
{
    *cli = (struct cli){
        .program = program,
        .members = getenv("INDABA_MEMBERS"),
        .certs = getenv("INDABA_CERTS"),
        .identity = getenv("INDABA_IDENTITY"),
        .timeout_ms = TIMEOUT_MS,
    };
    if (cli->identity == NULL) {
        cli->identity = "operator";
    }
}

int cli_open(struct cli *cli)
{
    struct reason reason = {0};
    if (cli->members == NULL || cli->members[0] == '\0') {
        (void)fprintf(stderr,
                      "indaba %s: no member given: use --members HOST:PORT[,…] or INDABA_MEMBERS\n",
                      cli->program);
        return CLI_USAGE;
    }
    if (cli->certs == NULL || cli->certs[0] == '\0') {
        (void)fprintf(stderr,
                      "indaba %s: no certificates given: use --certs DIR (with ca.pem, %s.pem and "
                      "%s.key) or INDABA_CERTS\n",
                      cli->program,
                      cli->identity,
                      cli->identity);
        return CLI_USAGE;
    }
    char ca[PATH_SIZE];
    char cert[PATH_SIZE];
    char key[PATH_SIZE];
    (void)snprintf(ca, sizeof(ca), "%s/ca.pem", cli->certs);
    (void)snprintf(cert, sizeof(cert), "%s/%s.pem", cli->certs, cli->identity);
    (void)snprintf(key, sizeof(key), "%s/%s.key", cli->certs, cli->identity);
    struct tls_files files = {
        .ca_path = ca, .cert_path = cert, .key_path = key, .is_client_only = true};
    if (tls_new(&files, &reason, &cli->tls) != ERR_OK) {
        (void)fprintf(stderr, "indaba %s: %s\n", cli->program, reason.text);
        return CLI_USAGE;
    }
    cli->loop = mem_new(sizeof(*cli->loop));
    CHECK(uv_loop_init(cli->loop) == 0);
    cli->net = net_new(cli->loop);
    wire_arena_init(&cli->arena, 64UL * 1024 * 1024);

    char *members = mem_dup_string(cli->members);
    const char *addresses[CLIENT_ADDRESSES_MAX];
    struct client_options options = {
        .addresses = addresses,
        .addresses_count = split_members(members, addresses, CLIENT_ADDRESSES_MAX),
        .tls = cli->tls,
    };
    enum error error = client_new(cli->net, &options, &cli->client);
    mem_free(members);
    if (error != ERR_OK) {
        (void)fprintf(stderr,
                      "indaba %s: --members '%s' is not a list of numeric HOST:PORT\n",
                      cli->program,
                      cli->members);
        cli_close(cli);
        return CLI_USAGE;
    }
    return CLI_OK;
}

void cli_close(struct cli *cli)
{
    if (cli->loop == NULL) {
        return;
    }
    if (cli->client != NULL) {
        client_free(cli->client);
    }
    (void)uv_run(cli->loop, UV_RUN_NOWAIT);
    net_free(cli->net);
    uv_walk(cli->loop, close_handle, NULL);
    (void)uv_run(cli->loop, UV_RUN_DEFAULT);
    (void)uv_loop_close(cli->loop);
    mem_free(cli->loop);
    tls_free(cli->tls);
    wire_arena_deinit(&cli->arena);
    cli->loop = NULL;
}

int cli_call(struct cli *cli,
             const char *path,
             const ProtobufCMessage *request,
             const ProtobufCMessageDescriptor *reply_descriptor,
             ProtobufCMessage **reply_out)
{
    struct pending_call pending = {
        .cli = cli,
        .path = path,
        .reply_descriptor = reply_descriptor,
    };
    struct buf bytes = {0};
    wire_pack(request, &bytes);
    struct client_request call = {
        .path = path,
        .message = buf_view(&bytes),
        .timeout_ms = cli->timeout_ms,
    };
    client_call(cli->client, &call, on_call_done, &pending);
    buf_deinit(&bytes);
    while (!pending.done) {
        (void)uv_run(cli->loop, UV_RUN_ONCE);
    }
    if (pending.exit == CLI_OK) {
        *reply_out = pending.reply;
    }
    return pending.exit;
}

void cli_pause(struct cli *cli, uint32_t ms)
{
    uv_timer_t timer;
    bool over = false;
    CHECK(uv_timer_init(cli->loop, &timer) == 0);
    timer.data = &over;
    CHECK(uv_timer_start(&timer, pause_over, ms, 0) == 0);
    while (!over) {
        (void)uv_run(cli->loop, UV_RUN_ONCE);
    }
    over = false;
    uv_close((uv_handle_t *)&timer, pause_closed);
    while (!over) {
        (void)uv_run(cli->loop, UV_RUN_ONCE);
    }
}

static void pause_over(uv_timer_t *timer)
{
    bool *over = timer->data;
    *over = true;
}

static void pause_closed(uv_handle_t *timer)
{
    bool *over = timer->data;
    *over = true;
}

char *cli_request_id(struct cli *cli)
{
    struct request_id id = request_id_new(clock_wall_ms());
    char *text = wire_arena_alloc(&cli->arena, ID128_TEXT_SIZE);
    CHECK(text != NULL);
    return id128_format(id.hi, id.lo, text);
}

void cli_print(struct buf *out)
{
    (void)fwrite(out->data, 1, out->len, stdout);
    (void)fflush(stdout);
    buf_deinit(out);
}

static size_t split_members(char *text, const char **addresses, size_t max)
{
    size_t count = 0;
    char *rest = text;
    char *word = NULL;
    while ((word = strsep(&rest, ",")) != NULL && count < max) {
        if (word[0] != '\0') {
            addresses[count++] = word;
        }
    }
    return count;
}

static void on_call_done(const struct client_result *result, void *ctx)
{
    struct pending_call *pending = ctx;
    struct cli *cli = pending->cli;
    pending->done = true;
    pending->exit = exit_of(result->status);
    if (result->status != GRPC_OK && cli->quiet) {
        return;
    }
    if (result->status != GRPC_OK) {
        (void)fprintf(stderr,
                      "indaba %s: %s (%s, asked %s)\n",
                      cli->program,
                      result->message[0] == '\0' ? "no reason given"
                                                 : screen_copy(cli, result->message),
                      grpc_status_name(result->status),
                      result->address);
        if (pending->exit == CLI_UNAVAILABLE) {
            (void)fprintf(stderr,
                          "indaba %s: no leader with a majority answered within %" PRIu32 " ms; "
                          "tried %s. What one member knows alone: 'indaba status --stale'\n",
                          cli->program,
                          cli->timeout_ms,
                          cli->members);
        }
        return;
    }
    if (wire_unpack(pending->reply_descriptor, result->reply, &cli->arena, &pending->reply) !=
        ERR_OK) {
        (void)fprintf(
            stderr,
            "indaba %s: the answer of %s to %s could not be read; is it another version?\n",
            cli->program,
            result->address,
            pending->path);
        pending->exit = CLI_UNAVAILABLE;
    } else if (!cli->json) {
        screen_message(pending->reply, &cli->arena);
    }
}

static const char *screen_copy(struct cli *cli, const char *text)
{
    size_t size = strlen(text) + 1;
    char *copy = wire_arena_alloc(&cli->arena, size);
    return copy == NULL ? "" : screen_text(memcpy(copy, text, size), &cli->arena);
}

static int exit_of(enum grpc_status status)
{
    if (status == GRPC_OK) {
        return CLI_OK;
    }
    bool unavailable =
        status == GRPC_UNAVAILABLE || status == GRPC_DEADLINE_EXCEEDED || status == GRPC_CANCELLED;
    return unavailable ? CLI_UNAVAILABLE : CLI_REFUSED;
}

static void close_handle(uv_handle_t *handle, void *ctx)
{
    (void)ctx;
    if (!uv_is_closing(handle)) {
        uv_close(handle, NULL);
    }
}
