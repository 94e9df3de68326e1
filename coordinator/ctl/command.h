/*
 * command.h - the commands of zdmctl as a table: name, operands, help, options, function.
 *
 * --help, the completion of the shell and the dispatch all read it. A name may have two words ("keys generate").
 */
#ifndef COORDINATOR_CTL_COMMAND_H
#define COORDINATOR_CTL_COMMAND_H

#include <stddef.h>
#include <stdint.h>

#include "coordinator/ctl/ctl.h"

struct ctl_command {
    const char *name;
    const char *usage;   /* operands and the options that matter, after the name */
    const char *summary; /* one line */
    const char *more;    /* paragraphs for --help, NULL for none */
    uint64_t options;    /* besides CTL_GLOBAL */
    size_t min_operands, max_operands;
    enum zdm_code (*run)(struct ctl *ctl, struct zdm_error *err);
};

/* All commands, in the order in which help lists them. */
const struct ctl_command *ctl_commands(size_t *out_n);
/* The command that the words begin with (NULL for none), and how many words its name has. */
const struct ctl_command *ctl_command_find(size_t n_words, char **words, int *out_used);
/* The name of a command that was probably meant, NULL for none near enough. */
const char *ctl_command_guess(const char *word);

/* Help of all commands, and of one. */
void ctl_help_all(struct zdm_buffer *out, const struct ctl_look *look);
void ctl_help_command(struct zdm_buffer *out, const struct ctl_look *look, const struct ctl_command *command);

/* The whole program but for the process around it: parses argv, runs, prints errors; returns the exit code. */
int ctl_main(int argc, char **argv, const char *release);

/* The functions of the table. Each is described by its row. */
enum zdm_code ctl_run_keys_generate(struct ctl *ctl, struct zdm_error *err) ZDM_CHECKED;
enum zdm_code ctl_run_keys_show(struct ctl *ctl, struct zdm_error *err) ZDM_CHECKED;
enum zdm_code ctl_run_trust_init(struct ctl *ctl, struct zdm_error *err) ZDM_CHECKED;
enum zdm_code ctl_run_trust_show(struct ctl *ctl, struct zdm_error *err) ZDM_CHECKED;
enum zdm_code ctl_run_plan(struct ctl *ctl, struct zdm_error *err) ZDM_CHECKED;
enum zdm_code ctl_run_submit(struct ctl *ctl, struct zdm_error *err) ZDM_CHECKED;
enum zdm_code ctl_run_act(struct ctl *ctl, struct zdm_error *err) ZDM_CHECKED; /* verbs on shards, freeze, thaw */
enum zdm_code ctl_run_status(struct ctl *ctl, struct zdm_error *err) ZDM_CHECKED;
enum zdm_code ctl_run_wait(struct ctl *ctl, struct zdm_error *err) ZDM_CHECKED;
enum zdm_code ctl_run_history(struct ctl *ctl, struct zdm_error *err) ZDM_CHECKED;
enum zdm_code ctl_run_agents(struct ctl *ctl, struct zdm_error *err) ZDM_CHECKED;
enum zdm_code ctl_run_enroll(struct ctl *ctl, struct zdm_error *err) ZDM_CHECKED;
enum zdm_code ctl_run_version(struct ctl *ctl, struct zdm_error *err) ZDM_CHECKED;
enum zdm_code ctl_run_completion(struct ctl *ctl, struct zdm_error *err) ZDM_CHECKED;
enum zdm_code ctl_run_help(struct ctl *ctl, struct zdm_error *err) ZDM_CHECKED;
enum zdm_code ctl_run_rollback(struct ctl *ctl, struct zdm_error *err) ZDM_CHECKED;
enum zdm_code ctl_run_approve(struct ctl *ctl, struct zdm_error *err) ZDM_CHECKED;
enum zdm_code ctl_run_purge(struct ctl *ctl, struct zdm_error *err) ZDM_CHECKED;
enum zdm_code ctl_run_agents_revoke(struct ctl *ctl, struct zdm_error *err) ZDM_CHECKED;
enum zdm_code ctl_run_trust_propose(struct ctl *ctl, struct zdm_error *err) ZDM_CHECKED;
enum zdm_code ctl_run_trust_sign(struct ctl *ctl, struct zdm_error *err) ZDM_CHECKED;
enum zdm_code ctl_run_trust_publish(struct ctl *ctl, struct zdm_error *err) ZDM_CHECKED;
enum zdm_code ctl_run_trust_fetch(struct ctl *ctl, struct zdm_error *err) ZDM_CHECKED;
enum zdm_code ctl_run_audit_verify(struct ctl *ctl, struct zdm_error *err) ZDM_CHECKED; /* cmd_audit.c */
enum zdm_code ctl_run_check(struct ctl *ctl, struct zdm_error *err) ZDM_CHECKED;        /* cmd_check.c */
enum zdm_code ctl_run_new(struct ctl *ctl, struct zdm_error *err) ZDM_CHECKED;          /* cmd_new.c */
enum zdm_code ctl_run_explain(struct ctl *ctl, struct zdm_error *err) ZDM_CHECKED;      /* cmd_explain.c */
enum zdm_code ctl_run_unavailable(struct ctl *ctl, struct zdm_error *err) ZDM_CHECKED;

#endif
