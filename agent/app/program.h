/*
 * program.h - the commands of zdm-agent. Each takes argv behind its name and returns the exit code: 0 done, 1 failed, 2
 * wrong usage.
 */
#ifndef AGENT_APP_PROGRAM_H
#define AGENT_APP_PROGRAM_H

#include "common/base/error.h"

enum { EXIT_DONE = 0, EXIT_FAILED = 1, EXIT_USAGE = 2 };

int command_join(int argc, char **argv);
int command_run(int argc, char **argv);
int command_anchors(int argc, char **argv);
int command_trust(int argc, char **argv);

/* Prints an error with its detail and hint to stderr; the exit code for it. */
int print_error(const struct zdm_error *err);

#endif
