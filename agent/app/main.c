/*
 * main.c - zdm-agent: join, run, trust, anchors, version.
 */
#include <stdio.h>
#include <string.h>

#include "agent/app/program.h"
#include "agent/app/settings.h"

static void print_help(void)
{
    printf("zdm-agent carries out schema migrations on the database beside it.\n"
           "\n"
           "usage: zdm-agent join TOKEN --data DIR   join a fleet; TOKEN from zdmctl enroll, - reads it from stdin\n"
           "       zdm-agent run [OPTIONS]           work until SIGTERM\n"
           "       zdm-agent trust show              who may do what, as this agent believes\n"
           "       zdm-agent trust update FILE       take a newer trust file; a running agent notices\n"
           "       zdm-agent anchors [OPTIONS]       what the journal holds of the coordinator's log, for an audit\n"
           "       zdm-agent version\n"
           "\n"
           "options, also as keys of the file given by --config (with '_' for '-'):\n");
    agent_settings_help();
    printf(
        "\n"
        "The DSN carries no password on the command line: use passfile=, service=, PGPASSFILE or a config file; for\n"
        "mysql: an option file of mode 0600, named with defaults-file=.\n");
}

int print_error(const struct zdm_error *err)
{
    fprintf(stderr, "zdm-agent: %s\n", err->message);
    if (err->detail[0] != '\0')
        fprintf(stderr, "  %s\n", err->detail);
    if (err->hint[0] != '\0')
        fprintf(stderr, "  hint: %s\n", err->hint);
    return err->code == ZDM_INVALID ? EXIT_USAGE : EXIT_FAILED;
}

int main(int argc, char **argv)
{
    const char *command = argc > 1 ? argv[1] : "";
    for (int i = 1; i < argc; i++) {
        if (strcmp(argv[i], "--help") == 0 || strcmp(argv[i], "-h") == 0 || strcmp(command, "help") == 0) {
            print_help();
            return EXIT_DONE;
        }
    }
    if (strcmp(command, "join") == 0)
        return command_join(argc - 2, argv + 2);
    if (strcmp(command, "run") == 0)
        return command_run(argc - 2, argv + 2);
    if (strcmp(command, "trust") == 0)
        return command_trust(argc - 2, argv + 2);
    if (strcmp(command, "anchors") == 0)
        return command_anchors(argc - 2, argv + 2);
    if (strcmp(command, "version") == 0 || strcmp(command, "--version") == 0) {
        printf("zdm-agent %s\n", ZDM_VERSION);
        return EXIT_DONE;
    }
    fprintf(stderr, "zdm-agent: %s\n  hint: zdm-agent --help\n",
            command[0] != '\0' ? "unknown command" : "a command is missing");
    return EXIT_USAGE;
}
