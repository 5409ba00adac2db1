/* SPDX-License-Identifier: Apache-2.0 */
/* See cmd/cli.h. */
#include "cmd/cli.h"

#include "base/check.h"
#include "base/clock.h"
#include "base/ids.h"
#include "base/mem.h"

#include <errno.h>
#include <getopt.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <uv.h>

enum {
    OPTIONS_MAX = 16,
    COMMON_OPTIONS = 6,
    TIMEOUT_MS = 10000,
    PATH_SIZE = 512
};

enum common_option {
    OPTION_MEMBERS = 1000,
    OPTION_CERTS,
    OPTION_IDENTITY,
    OPTION_TIMEOUT,
    OPTION_JSON,
    OPTION_HELP,
};

struct pending_call {
    struct cli *cli;
    const char *path;
    const ProtobufCMessageDescriptor *reply_descriptor;
    ProtobufCMessage *reply;
    int exit;
    bool done;
};

static void list_options(const struct cli_option *options, struct option *list);
static bool
take_positional(const struct cli *cli, const struct cli_words *words, int count, char **given);
static void print_usage(const struct cli *cli, const struct cli_option *options, const char *usage);
static bool take_common(struct cli *cli, int option, const char *value);
static size_t split_members(char *text, const char **addresses, size_t max);
static void on_call_done(const struct client_result *result, void *ctx);
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

bool cli_parse(struct cli *cli, const struct cli_words *words, int argc, char **argv, int *exit_out)
{
    struct option list[OPTIONS_MAX + COMMON_OPTIONS + 1];
    list_options(words->options, list);
    optind = 0; /* glibc: start afresh */
    int option = 0;
    *exit_out = CLI_USAGE;
    while ((option = getopt_long(argc, argv, "", list, NULL)) != -1) {
        if (option == OPTION_HELP) {
            print_usage(cli, words->options, words->usage);
            *exit_out = CLI_OK;
            return false;
        }
        if (option == '?') {
            (void)fprintf(stderr, "Try 'indaba %s --help'.\n", cli->program);
            return false;
        }
        if (option < OPTION_MEMBERS) {
            CHECK(words->options != NULL);
            *words->options[option - 1].text_out = optarg == NULL ? "" : optarg;
        } else if (!take_common(cli, option, optarg)) {
            return false;
        }
    }
    return take_positional(cli, words, argc - optind, argv + optind);
}

int cli_open(struct cli *cli)
{
    char errmsg[NET_ERRMSG_SIZE] = "";
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
    struct tls_files files = {.ca_path = ca, .cert_path = cert, .key_path = key};
    if (tls_new(&files, errmsg, &cli->tls) != ERR_OK) {
        (void)fprintf(stderr, "indaba %s: %s\n", cli->program, errmsg);
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

bool cli_number(const char *option, const char *text, uint64_t max, uint64_t *value_out)
{
    char *end = NULL;
    errno = 0;
    unsigned long long value = strtoull(text, &end, 10);
    if (errno != 0 || end == text || *end != '\0' || text[0] == '-' || value > max) {
        (void)fprintf(stderr,
                      "indaba: %s '%s' is not a number from 0 to %llu\n",
                      option,
                      text,
                      (unsigned long long)max);
        return false;
    }
    *value_out = value;
    return true;
}

void cli_print(struct buf *out)
{
    (void)fwrite(out->data, 1, out->len, stdout);
    (void)fflush(stdout);
    buf_deinit(out);
}

static void list_options(const struct cli_option *options, struct option *list)
{
    static const struct option COMMON[COMMON_OPTIONS] = {
        {"members",  required_argument, NULL, OPTION_MEMBERS },
        {"certs",    required_argument, NULL, OPTION_CERTS   },
        {"identity", required_argument, NULL, OPTION_IDENTITY},
        {"timeout",  required_argument, NULL, OPTION_TIMEOUT },
        {"json",     no_argument,       NULL, OPTION_JSON    },
        {"help",     no_argument,       NULL, OPTION_HELP    },
    };
    memcpy(list, COMMON, sizeof(COMMON));
    int count = 0;
    for (; options != NULL && options[count].name != NULL; count++) {
        CHECK(count < OPTIONS_MAX);
        int has_value = options[count].value == NULL ? no_argument : required_argument;
        list[COMMON_OPTIONS + count] =
            (struct option){options[count].name, has_value, NULL, count + 1};
    }
    list[COMMON_OPTIONS + count] = (struct option){NULL, 0, NULL, 0};
}

static bool
take_positional(const struct cli *cli, const struct cli_words *words, int count, char **given)
{
    if (count > words->positional_max) {
        (void)fprintf(stderr,
                      "indaba %s: unexpected word '%s'. Try 'indaba %s --help'.\n",
                      cli->program,
                      given[words->positional_max],
                      cli->program);
        return false;
    }
    for (int i = 0; i < count; i++) {
        words->positional[i] = given[i];
    }
    return true;
}

static void print_usage(const struct cli *cli, const struct cli_option *options, const char *usage)
{
    (void)printf("Usage: indaba %s %s\n\n", cli->program, usage);
    for (int i = 0; options != NULL && options[i].name != NULL; i++) {
        char left[64];
        (void)snprintf(left,
                       sizeof(left),
                       "--%s%s%s",
                       options[i].name,
                       options[i].value == NULL ? "" : " ",
                       options[i].value == NULL ? "" : options[i].value);
        (void)printf("  %-26s %s\n", left, options[i].help);
    }
    (void)printf(
        "  --members HOST:PORT,…      members' API addresses (INDABA_MEMBERS)\n"
        "  --certs DIR                folder of ca.pem, NAME.pem, NAME.key (INDABA_CERTS)\n"
        "  --identity NAME            whose certificate, default operator\n"
        "  --timeout MS               give up after, default 10000\n"
        "  --json                     for programs\n\n"
        "Exit: 0 done, 1 the answer is no, 2 wrong usage, 3 no member answered, 4 "
        "refused.\n");
}

static bool take_common(struct cli *cli, int option, const char *value)
{
    uint64_t number = 0;
    switch ((enum common_option)option) {
    case OPTION_MEMBERS:
        cli->members = value;
        return true;
    case OPTION_CERTS:
        cli->certs = value;
        return true;
    case OPTION_IDENTITY:
        cli->identity = value;
        return true;
    case OPTION_JSON:
        cli->json = true;
        return true;
    case OPTION_TIMEOUT:
        CHECK(value != NULL); /* getopt_long: the option requires one */
        if (!cli_number("--timeout", value, 3600000, &number) || number == 0) {
            return false;
        }
        cli->timeout_ms = (uint32_t)number;
        return true;
    case OPTION_HELP:
        break;
    }
    UNREACHABLE("--help is taken before");
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
                      result->message[0] == '\0' ? "no reason given" : result->message,
                      grpc_status_name(result->status),
                      result->address);
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
    }
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
