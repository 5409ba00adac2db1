/* SPDX-License-Identifier: Apache-2.0 */
/* What all commands that talk to the cluster share: common options, one call with a deadline,
 * errors on stderr, exit codes. A command is short-lived and single-threaded. */
#ifndef INDABA_CMD_CLI_H
#define INDABA_CMD_CLI_H

#include "client/client.h"
#include "wire/arena.h"

#include <stdbool.h>

/* Documented in `indaba help` and docs/operations.md; stable. */
enum cli_exit {
    CLI_OK = 0,
    CLI_FAILED = 1,      /* done, and the answer is no (a broken ledger, a drill that missed) */
    CLI_USAGE = 2,       /* wrong words on the command line, or an unusable file */
    CLI_UNAVAILABLE = 3, /* no member answered in time */
    CLI_REFUSED = 4,     /* the cluster refused: invalid, not found, exists, precondition, denied */
};

struct cli {
    const char *program;  /* "shard create", for messages */
    const char *members;  /* HOST:PORT,… */
    const char *certs;    /* folder with ca.pem, NAME.pem, NAME.key */
    const char *identity; /* NAME, default "operator" */
    uint32_t timeout_ms;
    bool json;
    bool quiet; /* no message for a call that fails: the caller tells */
    struct uv_loop_s *loop;
    struct net *net;
    struct tls *tls;
    struct client *client;
    struct wire_arena arena; /* replies live here until cli_close */
};

/* Takes one of the common options (--members, --certs, --identity, --timeout, --json), also from
 * the environment (INDABA_MEMBERS, INDABA_CERTS, INDABA_IDENTITY). */
void cli_init(struct cli *cli, const char *program);

/* One option of a command: a flag or one with a value. Ends with a NULL name. */
struct cli_option {
    const char *name;  /* "mode" */
    const char *value; /* what to write for the value, "sync|async"; NULL: a flag */
    const char *help;
    const char **text_out; /* set to the value; "" for a flag that is given */
};

/* What a command takes besides the common options. */
struct cli_words {
    const struct cli_option *options; /* NULL: none */
    const char *usage;                /* what follows the command's name */
    const char **positional;          /* set to the words given, in order; may be NULL */
    int positional_max;
};

/* Parses argv behind argv[0]. Prints what is wrong, or the usage, and sets *exit_out when the
 * command should end at once (also for --help); returns false then. */
bool cli_parse(
    struct cli *cli, const struct cli_words *words, int argc, char **argv, int *exit_out);

/* Of a noun without one of its verbs: its usage, on stdout and with CLI_OK if it was asked for. */
int cli_noun_usage(int argc, char **argv, const char *usage);

/* The words of a command that takes nothing but --stale (ask one member, without a quorum). */
bool cli_parse_stale(struct cli *cli, int argc, char **argv, bool *stale_out, int *exit_out);

/* A person says yes, by word or by --yes (`yes` not NULL). Where there is nobody to ask, nothing is
 * done without --yes: what comes down a pipe is no person's answer to this question. */
bool cli_confirm(const struct cli *cli, const char *yes, const char *question);

/* Loads the certificates and makes the client. CLI_OK or an exit code with its message printed. */
int cli_open(struct cli *cli);
void cli_close(struct cli *cli);

/* One unary call. CLI_OK with the reply in the arena, or an exit code with its message printed. */
int cli_call(struct cli *cli,
             const char *path,
             const ProtobufCMessage *request,
             const ProtobufCMessageDescriptor *reply_descriptor,
             ProtobufCMessage **reply_out);

/* Waits, while the connection goes on. */
void cli_pause(struct cli *cli, uint32_t ms);

/* 32 hex digits: a new request id, in the arena. */
char *cli_request_id(struct cli *cli);
/* An unsigned number within bounds; prints and returns false otherwise. */
bool cli_number(const char *option, const char *text, uint64_t max, uint64_t *value_out);
/* Writes and releases. */
void cli_print(struct buf *out);

#endif
