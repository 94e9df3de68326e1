/*
 * main.c - zdm-coordinator: run, backup, recover, audit, version.
 */
#include <stdio.h>
#include <string.h>

#include "coordinator/app/program.h"

static void print_help(void)
{
    printf("zdm-coordinator drives schema migrations across a fleet of databases.\n"
           "\n"
           "usage: zdm-coordinator run [OPTIONS]           serve agents and people until SIGTERM\n"
           "       zdm-coordinator backup FILE [OPTIONS]   copy the log of a running or stopped coordinator\n"
           "       zdm-coordinator recover --key OPERATOR_KEY [--wait 60s] [--yes] [OPTIONS]\n"
           "                                               go on with a log that fenced itself; asks its agents first\n"
           "       zdm-coordinator audit [--log FILE] [--anchors FILE]... [OPTIONS]\n"
           "                                               prove a log that no coordinator has open\n"
           "       zdm-coordinator version\n"
           "\n"
           "options, also as keys of the file given by --config (with '_' for '-'):\n");
    settings_help();
    printf("\n"
           "A coordinator that opens a backup starts fenced: it gives no orders, because the original may have gone\n"
           "on. Keys and trust files are made with zdmctl.\n");
}

int print_error(const struct zdm_error *err)
{
    fprintf(stderr, "zdm-coordinator: %s\n", err->message);
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
    if (strcmp(command, "run") == 0)
        return command_run(argc - 2, argv + 2);
    if (strcmp(command, "backup") == 0)
        return command_backup(argc - 2, argv + 2);
    if (strcmp(command, "recover") == 0)
        return command_recover(argc - 2, argv + 2);
    if (strcmp(command, "audit") == 0)
        return command_audit(argc - 2, argv + 2);
    if (strcmp(command, "version") == 0 || strcmp(command, "--version") == 0) {
        printf("zdm-coordinator %s\n", ZDM_VERSION);
        return EXIT_DONE;
    }
    fprintf(stderr, "zdm-coordinator: %s\n  hint: zdm-coordinator --help\n",
            command[0] != '\0' ? "unknown command" : "a command is missing");
    return EXIT_USAGE;
}
