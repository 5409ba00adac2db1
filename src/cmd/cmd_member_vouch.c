/* SPDX-License-Identifier: Apache-2.0 */
/* `indaba member vouch`: a member refuses somebody that it does not know, and whoever could tell it
 * better is lost. A person on its machine says whom it is to believe. It is written into the
 * member's folder, and the member is told at once, if it runs. */
#include "base/clock.h"
#include "base/error.h"
#include "base/mem.h"
#include "cmd/cli.h"
#include "cmd/cmd_member.h"
#include "storage/member_dir.h"
#include "storage/vouch_file.h"

#include <errno.h>
#include <inttypes.h>
#include <pwd.h>
#include <signal.h>
#include <stdio.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

enum {
    QUESTION_SIZE = 512,
    ROOM_SIZE = 4096, /* of an entry of the user database */
};

struct vouch_words {
    const char *dir;
    const char *name;
    const char *id;
    const char *reason;
    const char *yes;
};

static int vouch(const struct cli *cli, const struct vouch_words *words);
static bool owns(const char *dir);
static void name_user(uid_t uid, char name[NAME_SIZE]);
static bool fill(const struct vouch_words *words, struct vouch *vouch_out);
static int add(const char *dir, const struct vouch *vouch);
static int show(const char *dir);
static void tell_member(const char *dir);

int member_vouch(int argc, char **argv)
{
    struct vouch_words words = {.reason = ""};
    const struct cli_option options[] = {
        {"dir", "DIR", "the data folder of the member that refuses somebody", &words.dir},
        {"name", "NAME", "whom it shall believe, as its log says", &words.name},
        {"id", "HEX", "the id, as its log says", &words.id},
        {"reason", "TEXT", "how you know", &words.reason},
        {"yes", NULL, "do not ask", &words.yes},
        {NULL, NULL, NULL, NULL},
    };
    struct cli cli;
    int code = CLI_OK;
    cli_init(&cli, "member vouch");
    const struct cli_words taken = {
        .options = options,
        .usage = "--dir DIR [--name NAME --id HEX [--reason TEXT] [--yes]]\n\nFor a member that "
                 "was away while others were added, and whose old fellows are lost: it believes "
                 "only whom it knows, or whom a majority of those names. Type this on its machine, "
                 "as the user it runs as. Without --name it shows for whom was vouched.",
    };
    if (!cli_parse(&cli, &taken, argc, argv, &code)) {
        return code;
    }
    if (words.dir == NULL || (words.name == NULL) != (words.id == NULL)) {
        (void)fprintf(stderr, "indaba member vouch: --dir, and --name with --id, are needed\n");
        return CLI_USAGE;
    }
    return words.name == NULL ? show(words.dir) : vouch(&cli, &words);
}

static int vouch(const struct cli *cli, const struct vouch_words *words)
{
    struct reason reason = {0};
    struct member_identity *identity = mem_new(sizeof(*identity));
    struct vouch one;
    bool known = member_dir_inspect(words->dir, &reason, identity) == ERR_OK;
    char question[QUESTION_SIZE];
    (void)snprintf(
        question,
        sizeof(question),
        "Member %.63s will take terms, entries and snapshots from %.63s (%.32s). If that "
        "is no member of this cluster, what was acknowledged can be lost.",
        identity->name,
        words->name,
        words->id);
    bool itself = known && strcmp(identity->name, words->name) == 0;
    member_identity_deinit(identity);
    mem_free(identity);
    if (!known) {
        (void)fprintf(stderr, "indaba member vouch: %s\n", reason.text);
        return CLI_FAILED;
    }
    if (itself || !fill(words, &one)) {
        (void)fprintf(stderr,
                      "indaba member vouch: --name is that of another member, --id its 32 hex "
                      "digits, --reason has at most %d bytes\n",
                      TEXT_SIZE - 1);
        return CLI_USAGE;
    }
    if (!owns(words->dir)) {
        return CLI_FAILED;
    }
    if (!cli_confirm(cli, words->yes, question)) {
        return CLI_USAGE;
    }
    int code = add(words->dir, &one);
    if (code == CLI_OK) {
        tell_member(words->dir);
    }
    return code;
}

/* A file of somebody else in there could not be read by the member. */
static bool owns(const char *dir)
{
    struct stat status;
    if (stat(dir, &status) != 0) {
        (void)fprintf(stderr, "indaba member vouch: %s: %s\n", dir, strerrordesc_np(errno));
        return false;
    }
    if (status.st_uid == geteuid()) {
        return true;
    }
    char owner[NAME_SIZE];
    name_user(status.st_uid, owner);
    (void)fprintf(
        stderr, "indaba member vouch: %s is of user %s: run it as that user\n", dir, owner);
    return false;
}

static void name_user(uid_t uid, char name[NAME_SIZE])
{
    struct passwd user;
    struct passwd *found = NULL;
    char room[ROOM_SIZE];
    if (getpwuid_r(uid, &user, room, sizeof(room), &found) != 0 || found == NULL) {
        (void)snprintf(name, NAME_SIZE, "%lu", (unsigned long)uid);
        return;
    }
    (void)snprintf(name, NAME_SIZE, "%s", user.pw_name);
}

static bool fill(const struct vouch_words *words, struct vouch *vouch_out)
{
    memset(vouch_out, 0, sizeof(*vouch_out));
    vouch_out->wall_ms = clock_wall_ms();
    (void)snprintf(vouch_out->name, sizeof(vouch_out->name), "%s", words->name);
    name_user(getuid(), vouch_out->by);
    (void)snprintf(vouch_out->reason, sizeof(vouch_out->reason), "%s", words->reason);
    return name_is_valid(words->name) && strlen(words->reason) < TEXT_SIZE &&
           id128_parse(words->id, &vouch_out->id.hi, &vouch_out->id.lo) == ERR_OK &&
           !member_id_is_none(vouch_out->id);
}

static int add(const char *dir, const struct vouch *vouch)
{
    struct reason reason = {0};
    struct vouches vouches;
    enum error error = vouch_file_read(disk_real(), dir, &reason, &vouches);
    if (error == ERR_OK && vouches_add(&vouches, vouch) != ERR_OK) {
        error = reason_set(&reason,
                           ERR_EXHAUSTED,
                           "%s/vouched has %d names already: take away the file when the member "
                           "knows them, and try again",
                           dir,
                           VOUCHES_MAX);
    }
    if (error == ERR_OK) {
        error = vouch_file_write(disk_real(), dir, &vouches, &reason);
    }
    if (error != ERR_OK) {
        (void)fprintf(stderr, "indaba member vouch: %s\n", reason.text);
        return CLI_FAILED;
    }
    return CLI_OK;
}

static int show(const char *dir)
{
    struct reason reason = {0};
    struct vouches vouches;
    if (vouch_file_read(disk_real(), dir, &reason, &vouches) != ERR_OK) {
        (void)fprintf(stderr, "indaba member vouch: %s\n", reason.text);
        return CLI_FAILED;
    }
    for (uint32_t i = 0; i < vouches.count; i++) {
        const struct vouch *one = &vouches.items[i];
        char id[ID128_TEXT_SIZE];
        char when[CLOCK_WALL_TEXT_SIZE];
        (void)printf("%s %s by %s at %s: %s\n",
                     one->name,
                     id128_format(one->id.hi, one->id.lo, id),
                     one->by,
                     clock_format_wall(one->wall_ms, when),
                     one->reason[0] == '\0' ? "no reason given" : one->reason);
    }
    return CLI_OK;
}

static void tell_member(const char *dir)
{
    long pid = member_dir_holder(dir);
    if (pid > 0 && kill((pid_t)pid, SIGHUP) == 0) {
        (void)printf("written, and the member (process %ld) was told: its log says peer.vouched\n",
                     pid);
    } else {
        (void)printf("written: the member reads it when it starts (or on SIGHUP)\n");
    }
}
