/* SPDX-License-Identifier: Apache-2.0 */
/* The command line of `indaba guardian`: fixed at its start, nothing of it can be changed later
 * over the socket. */
#include "cmd/guardian_main.h"

#include "replication/guardian.h"

#include <getopt.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>

static const char USAGE[] =
    "Usage: indaba guardian --run DIR --state DIR --data DIR --output FILE [--user NAME]\n"
    "                       [--stop-signal NUMBER] -- DATABASE [ARGUMENT...]\n"
    "\n"
    "Runs one database as its parent and ends every process of it when the lease of a\n"
    "writable database passes its deadline. Started by 'indaba sidecar', which talks to it\n"
    "over RUN/guardian.sock; it outlives the sidecar. SIGTERM ends database and guardian.\n"
    "\n"
    "  --run DIR      socket and lock\n"
    "  --state DIR    the epochs that are over here\n"
    "  --data DIR     data folder: processes that work in it belong to the database\n"
    "  --output FILE  what the database prints\n"
    "  --user NAME    whom to run the database as (needs root)\n"
    "  --stop-signal NUMBER\n"
    "                 on which the database ends in order; SIGINT if it is not given\n"
    "\n"
    "Exit codes: 0 ended as told, 1 cannot start, 2 usage, 3 another guardian runs here.\n";

enum {
    EXIT_USAGE = 2
};

int guardian_main(int argc, char **argv)
{
    static const struct option OPTIONS[] = {
        {"run", required_argument, NULL, 'r'},
        {"state", required_argument, NULL, 's'},
        {"data", required_argument, NULL, 'd'},
        {"output", required_argument, NULL, 'o'},
        {"user", required_argument, NULL, 'u'},
        {"stop-signal", required_argument, NULL, 'e'},
        {"help", no_argument, NULL, 'h'},
        {NULL, 0, NULL, 0},
    };
    struct guardian_config config = {.user = "", .stop_signal = SIGINT};
    int option = 0;

    optind = 0; /* glibc: start afresh */
    while ((option = getopt_long(argc, argv, "+", OPTIONS, NULL)) != -1) {
        switch (option) {
        case 'r':
            config.run_dir = optarg;
            break;
        case 's':
            config.state_dir = optarg;
            break;
        case 'd':
            config.data_dir = optarg;
            break;
        case 'o':
            config.output = optarg;
            break;
        case 'u':
            config.user = optarg;
            break;
        case 'e':
            config.stop_signal = (int)strtol(optarg, NULL, 10);
            break;
        case 'h':
            (void)fputs(USAGE, stdout);
            return 0;
        default:
            (void)fputs("Try 'indaba guardian --help'.\n", stderr);
            return EXIT_USAGE;
        }
    }
    config.argv = argv + optind;
    if (config.run_dir == NULL || config.state_dir == NULL || config.data_dir == NULL ||
        config.output == NULL || config.argv[0] == NULL || config.argv[0][0] != '/' ||
        config.stop_signal <= 0 || config.stop_signal >= NSIG) {
        (void)fputs("indaba guardian: --run, --state, --data, --output and the absolute path of a "
                    "database are needed. Try 'indaba guardian --help'.\n",
                    stderr);
        return EXIT_USAGE;
    }
    return guardian_run(&config);
}
