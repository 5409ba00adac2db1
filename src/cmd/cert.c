/* SPDX-License-Identifier: Apache-2.0 */
/* `indaba cert`: a development authority and its certificates, so that mutual TLS needs no other
 * tool. The work is done by rpc/certificate; here are the arguments and the texts. */
#include "cmd/cert.h"

#include "base/check.h"
#include "rpc/certificate.h"
#include "rpc/tls.h"

#include <getopt.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

enum {
    EXIT_DONE = 0,
    EXIT_FAILED = 1,
    EXIT_USAGE = 2,
    DAYS_MAX = 3650
};

struct cert_arguments {
    const char *dir;
    const char *trust_domain;
    struct cert_request request;
    const char *hosts[CERT_HOSTS_MAX];
};

static int cert_init(int argc, char **argv);
static int cert_issue_one(int argc, char **argv);
static int cert_show_files(int argc, char **argv);
static int parse(int argc, char **argv, struct cert_arguments *out);
static int issue(const struct cert_arguments *arguments);
static int failed(const struct reason *reason);
static int usage(FILE *out);

int cert_main(int argc, char **argv)
{
    static const struct {
        const char *verb;
        int (*run)(int argc, char **argv);
    } verbs[] = {
        {"init", cert_init},
        {"issue", cert_issue_one},
        {"show", cert_show_files},
    };

    bool asked = (argc >= 2 && strcmp(argv[1], "--help") == 0) ||
                 (argc >= 3 && strcmp(argv[2], "--help") == 0);
    if (asked) {
        (void)usage(stdout);
        return EXIT_DONE;
    }
    if (argc >= 2) {
        for (size_t i = 0; i < ARRAY_LEN(verbs); i++) {
            if (strcmp(argv[1], verbs[i].verb) == 0) {
                return verbs[i].run(argc - 1, argv + 1);
            }
        }
        (void)fprintf(stderr, "indaba cert: unknown verb \"%s\"\n", argv[1]);
    }
    return usage(stderr);
}

/* Makes the authority and, when a name is given, the first certificate as well. */
static int cert_init(int argc, char **argv)
{
    struct cert_arguments arguments;
    int status = parse(argc, argv, &arguments);
    if (status != EXIT_DONE) {
        return status;
    }
    struct reason reason = {0};
    if (cert_create_ca(arguments.dir, arguments.trust_domain, &reason) != ERR_OK) {
        return failed(&reason);
    }
    (void)printf("made %s/%s for spiffe://%s (keep %s/%s secret)\n",
                 arguments.dir,
                 CERT_CA_FILE,
                 arguments.trust_domain,
                 arguments.dir,
                 CERT_CA_KEY_FILE);
    return arguments.request.name == NULL ? EXIT_DONE : issue(&arguments);
}

static int cert_issue_one(int argc, char **argv)
{
    struct cert_arguments arguments;
    int status = parse(argc, argv, &arguments);
    if (status != EXIT_DONE) {
        return status;
    }
    if (arguments.request.name == NULL) {
        (void)fprintf(stderr, "indaba cert issue: --name and --spiffe are needed\n");
        return usage(stderr);
    }
    return issue(&arguments);
}

static int cert_show_files(int argc, char **argv)
{
    if (argc < 2) {
        return usage(stderr);
    }
    for (int i = 1; i < argc; i++) {
        struct reason reason = {0};
        struct buf text = {0};
        if (cert_show(argv[i], &text, &reason) != ERR_OK) {
            buf_deinit(&text);
            return failed(&reason);
        }
        (void)printf(
            "%s%s\n%.*s", i == 1 ? "" : "\n", argv[i], (int)text.len, (const char *)text.data);
        buf_deinit(&text);
    }
    return EXIT_DONE;
}

static int parse(int argc, char **argv, struct cert_arguments *out)
{
    static const struct option options[] = {
        {"dir", required_argument, NULL, 'd'},
        {"trust-domain", required_argument, NULL, 't'},
        {"name", required_argument, NULL, 'n'},
        {"spiffe", required_argument, NULL, 's'},
        {"host", required_argument, NULL, 'o'},
        {"days", required_argument, NULL, 'y'},
        {NULL, 0, NULL, 0},
    };
    *out = (struct cert_arguments){.trust_domain = "indaba.local"};
    char *end = NULL;
    int option = 0;
    optind = 0; /* the command line is parsed once per noun, and again in tests */
    while ((option = getopt_long(argc, argv, "", options, NULL)) != -1) {
        if (optarg != NULL && optarg[0] == '\0') {
            (void)fprintf(stderr, "indaba cert: an option has an empty value: fill it in\n");
            return EXIT_USAGE;
        }
        switch (option) {
        case 'd':
            out->dir = optarg;
            break;
        case 't':
            out->trust_domain = optarg;
            break;
        case 'n':
            out->request.name = optarg;
            break;
        case 's':
            out->request.spiffe_path = optarg;
            break;
        case 'o':
            if (out->request.hosts_count == CERT_HOSTS_MAX) {
                (void)fprintf(stderr, "indaba cert: at most %d --host\n", CERT_HOSTS_MAX);
                return EXIT_USAGE;
            }
            out->hosts[out->request.hosts_count++] = optarg;
            break;
        case 'y':
            out->request.days = (uint32_t)strtoul(optarg != NULL ? optarg : "", &end, 10);
            if (*end != '\0' || out->request.days == 0 || out->request.days > DAYS_MAX) {
                (void)fprintf(stderr, "indaba cert: --days is a number from 1 to %d\n", DAYS_MAX);
                return EXIT_USAGE;
            }
            break;
        default:
            return usage(stderr);
        }
    }
    bool half = (out->request.name == NULL) != (out->request.spiffe_path == NULL);
    if (out->dir == NULL || optind != argc || half) {
        (void)fprintf(stderr,
                      "indaba cert: --dir is needed, and --name and --spiffe go together\n");
        return usage(stderr);
    }
    return EXIT_DONE;
}

static int issue(const struct cert_arguments *arguments)
{
    struct reason reason = {0};
    struct cert_request request = arguments->request;
    request.hosts = arguments->hosts;
    if (cert_issue(arguments->dir, &request, &reason) != ERR_OK) {
        return failed(&reason);
    }
    (void)printf(
        "made %s/%s.pem and its key for %s\n", arguments->dir, request.name, request.spiffe_path);
    return EXIT_DONE;
}

static int failed(const struct reason *reason)
{
    (void)fprintf(stderr, "indaba cert: %s\n", reason->text);
    return EXIT_FAILED;
}

static int usage(FILE *out)
{
    (void)fputs(
        "usage:\n"
        "  indaba cert init  --dir DIR [--trust-domain DOMAIN] [--name NAME --spiffe PATH "
        "[--host HOST]... [--days N]]\n"
        "  indaba cert issue --dir DIR --name NAME --spiffe PATH [--host HOST]... [--days N]\n"
        "  indaba cert show  FILE...\n"
        "\n"
        "PATH says who the holder is: /member/NAME, /sidecar/SHARD/INSTANCE, /operator/NAME, "
        "/client/NAME.\n",
        out);
    return EXIT_USAGE;
}
