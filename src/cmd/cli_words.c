/* SPDX-License-Identifier: Apache-2.0 */
/* The words of a command: options that all commands share, its own, and what stands behind them. */
#include "cmd/cli.h"

#include "base/check.h"

#include <errno.h>
#include <getopt.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

enum {
    OPTIONS_MAX = 16,
    COMMON_OPTIONS = 6,
};

enum common_option {
    OPTION_MEMBERS = 1000,
    OPTION_CERTS,
    OPTION_IDENTITY,
    OPTION_TIMEOUT,
    OPTION_JSON,
    OPTION_HELP,
};

static void refuse_empty(const struct cli *cli, const struct option *list, int option);
static void list_options(const struct cli_option *options, struct option *list);
static bool
take_positional(const struct cli *cli, const struct cli_words *words, int count, char **given);
static void print_usage(const struct cli *cli, const struct cli_option *options, const char *usage);
static bool take_common(struct cli *cli, int option, const char *value);

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
        if (optarg != NULL && optarg[0] == '\0') {
            refuse_empty(cli, list, option);
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

/* An empty word is one that a script forgot to fill in: it stands for nobody, and never for anybody
 * or the default. */
static void refuse_empty(const struct cli *cli, const struct option *list, int option)
{
    while (list->name != NULL && list->val != option) {
        list++;
    }
    (void)fprintf(stderr,
                  "indaba %s: --%s is empty: give it a value, or leave it out\n",
                  cli->program,
                  list->name == NULL ? "" : list->name);
}

static void list_options(const struct cli_option *options, struct option *list)
{
    static const struct option COMMON[COMMON_OPTIONS] = {
        {"members", required_argument, NULL, OPTION_MEMBERS},
        {"certs", required_argument, NULL, OPTION_CERTS},
        {"identity", required_argument, NULL, OPTION_IDENTITY},
        {"timeout", required_argument, NULL, OPTION_TIMEOUT},
        {"json", no_argument, NULL, OPTION_JSON},
        {"help", no_argument, NULL, OPTION_HELP},
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
        if (given[i][0] == '\0') {
            (void)fprintf(stderr,
                          "indaba %s: word %d is empty: name what you mean, or leave it out\n",
                          cli->program,
                          i + 1);
            return false;
        }
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
        if (!cli_number("--timeout", value, 3600000, &number)) {
            return false;
        }
        if (number == 0) {
            (void)fprintf(stderr,
                          "indaba %s: --timeout 0 leaves no time to ask anybody: milliseconds, at "
                          "least 1\n",
                          cli->program);
            return false;
        }
        cli->timeout_ms = (uint32_t)number;
        return true;
    case OPTION_HELP:
        break;
    }
    UNREACHABLE("--help is taken before");
}

bool cli_parse_stale(struct cli *cli, int argc, char **argv, bool *stale_out, int *exit_out)
{
    const char *stale = NULL;
    const struct cli_option options[] = {
        {"stale", NULL, "ask the member itself, without a quorum; labelled so", &stale},
        {NULL, NULL, NULL, NULL},
    };
    const struct cli_words words = {
        .options = options,
        .usage = "[--stale]",
        .positional = NULL,
        .positional_max = 0,
    };
    bool parsed = cli_parse(cli, &words, argc, argv, exit_out);
    *stale_out = stale != NULL;
    return parsed;
}

bool cli_confirm(const struct cli *cli, const char *yes, const char *question)
{
    if (yes != NULL) {
        return true;
    }
    if (isatty(STDIN_FILENO) == 0) {
        (void)fprintf(stderr,
                      "indaba %s: nothing was done: nobody can be asked here. %s Say --yes.\n",
                      cli->program,
                      question);
        return false;
    }
    (void)fprintf(stderr, "%s Go on? [y/N] ", question);
    char answer[8] = "";
    bool agreed =
        fgets(answer, sizeof(answer), stdin) != NULL && (answer[0] == 'y' || answer[0] == 'Y');
    if (!agreed) {
        (void)fprintf(stderr, "indaba %s: nothing was done\n", cli->program);
    }
    return agreed;
}

int cli_noun_usage(int argc, char **argv, const char *usage)
{
    bool asked = argc >= 2 && strcmp(argv[1], "--help") == 0;
    (void)fputs(usage, asked ? stdout : stderr);
    return asked ? CLI_OK : CLI_USAGE;
}
