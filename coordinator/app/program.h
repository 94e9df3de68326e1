/*
 * program.h - the commands of zdm-coordinator. Each takes argv behind its name and returns the exit code: 0 done, 1
 * failed, 2 wrong usage.
 */
#ifndef COORDINATOR_APP_PROGRAM_H
#define COORDINATOR_APP_PROGRAM_H

#include "coordinator/app/settings.h"
#include "coordinator/store/store.h"

enum { EXIT_DONE = 0, EXIT_FAILED = 1, EXIT_USAGE = 2 };
enum { TRUST_FILE_MAX = 4 * 1024 * 1024 };

int command_run(int argc, char **argv);
int command_backup(int argc, char **argv);
int command_recover(int argc, char **argv);
int command_audit(int argc, char **argv);

/* Prints an error with its detail and hint to stderr; the exit code for it. */
int print_error(const struct zdm_error *err);

#endif
