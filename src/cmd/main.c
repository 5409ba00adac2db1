/* SPDX-License-Identifier: Apache-2.0 */
/* The one binary: a table of commands. Each command is `int NAME_main(int argc, char **argv)`, gets
 * its own argv (argv[0] is its name) and returns the exit code. */
#include "base/check.h"
#include "base/log_writer.h"
#include "cmd/cert.h"
#include "cmd/commands.h"
#include "cmd/demo.h"
#include "cmd/guardian_main.h"
#include "cmd/serve.h"
#include "cmd/sidecar.h"

#include <errno.h>
#include <fcntl.h>
#include <stdbool.h>
#include <stdio.h>
#include <string.h>
#include <unistd.h>

#ifndef INDABA_VERSION
#define INDABA_VERSION "0.1.0-dev"
#endif

struct main_command {
    const char *name;
    int (*run)(int argc, char **argv);
    const char *help;
};

enum {
    WORDS_MAX = 3, /* "indaba noun verb -h" */
    EXIT_OUTPUT_LOST = 1,
};

static bool keep_standard_files(void);
static bool output_was_written(const char *name);
static int help_main(int argc, char **argv);
static int version_main(int argc, char **argv);

/* In the order in which people meet them. */
static const struct main_command commands[] = {
    {"serve", serve_main, "run a coordinator"},
    {"sidecar", sidecar_main, "run beside a database"},
    {"guardian", guardian_main, "started by a sidecar: parent of the database"},
    {"member", member_main, "members: ls, add, remove, transfer, init, …"},
    {"cluster", cluster_main, "settings of all members: timers, leader's region"},
    {"cert", cert_main, "certificates: init, issue, show"},
    {"status", status_main, "the cluster on one screen"},
    {"region", region_main, "regions: ls, put"},
    {"shard", shard_main, "shards: create, ls, show, freeze, thaw, uri"},
    {"failover", failover_main, "what was decided, when, and by which proof"},
    {"ledger", ledger_main, "the ledger: tail, show, verify"},
    {"demo", demo_main, "a world of three regions, one of which dies"},
    {"version", version_main, "print the version"},
    {"help", help_main, "print this"},
};

int main(int argc, char **argv)
{
    if (!keep_standard_files()) {
        return 2;
    }
    if (argc < 2) {
        (void)help_main(argc, argv);
        return 2;
    }
    const char *name = argv[1];
    if (strcmp(name, "--help") == 0 || strcmp(name, "-h") == 0) {
        name = "help";
    } else if (strcmp(name, "--version") == 0) {
        name = "version";
    }
    static char help[] = "--help";
    for (int i = 2; i < argc && i <= WORDS_MAX; i++) {
        argv[i] = strcmp(argv[i], "-h") == 0 ? help : argv[i];
    }
    for (size_t i = 0; i < ARRAY_LEN(commands); i++) {
        if (strcmp(commands[i].name, name) == 0) {
            int code = commands[i].run(argc - 1, argv + 1);
            (void)log_flush(LOG_FLUSH_MS);
            return output_was_written(name) ? code : (code == 0 ? EXIT_OUTPUT_LOST : code);
        }
    }
    (void)fprintf(stderr, "indaba: there is no command \"%s\"; `indaba help` lists them\n", name);
    return 2;
}

/* Whoever starts us with one of them closed would have our next file or socket in its place, and
 * what we print written into it: a log line into the store. What is printed there cannot be
 * written, and a command tells that in the end. */
static bool keep_standard_files(void)
{
    for (int file = STDIN_FILENO; file <= STDERR_FILENO; file++) {
        int how = file == STDOUT_FILENO ? O_RDONLY : O_RDWR;
        if (fcntl(file, F_GETFD) < 0 && open("/dev/null", how) != file) {
            return false;
        }
    }
    return true;
}

/* What was done may be known from the output alone: the id of a member that was added, say. */
static bool output_was_written(const char *name)
{
    errno = 0;
    bool failed = fflush(stdout) != 0;
    const char *why = errno != 0 ? strerrordesc_np(errno) : "a write failed";
    if (!failed && ferror(stdout) == 0) {
        return true;
    }
    (void)fprintf(stderr,
                  "indaba %s: the output could not be written (%s): what was to be done may be "
                  "done, ask before you repeat it\n",
                  name,
                  why);
    return false;
}

static int help_main(int argc, char **argv)
{
    (void)argc;
    (void)argv;
    (void)printf("indaba: unattended failover between regions, with proof\n\n"
                 "Usage: indaba COMMAND …; each command tells its own usage with --help\n\n");
    for (size_t i = 0; i < ARRAY_LEN(commands); i++) {
        (void)printf("  %-10s %s\n", commands[i].name, commands[i].help);
    }
    (void)printf("\nExit codes: 0 done; 1 done, and the answer is no, or failed; 2 wrong usage or "
                 "unusable file; 3 not answered in time; 4 refused\n");
    return 0;
}

static int version_main(int argc, char **argv)
{
    (void)argc;
    (void)argv;
    (void)printf("indaba " INDABA_VERSION "\n");
    return 0;
}
