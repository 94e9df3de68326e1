/*
 * options.h - every option of zdmctl as a row of one table, and what was given of them.
 *
 * A command names the options it takes as a set of bits; parsing, --help and the completion of the shell all read the
 * same rows. Global options may stand before the command and behind it.
 */
#ifndef COORDINATOR_CTL_OPTIONS_H
#define COORDINATOR_CTL_OPTIONS_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "common/base/error.h"
#include "common/plan/trust.h"

/* id, long name, letter or 0, argument or NULL, how often at most, help */
#define CTL_OPTIONS(X)                                                                                                 \
    X(COORDINATOR, "coordinator", 0, "URL", 1, "where the coordinator listens, several separated by commas")           \
    X(KEY, "key", 0, "FILE", 1, "your secret key")                                                                     \
    X(TRUST, "trust", 0, "FILE", 1, "the fleet's trust file")                                                          \
    X(CONFIG, "config", 0, "FILE", 1, "settings: coordinator, key, trust, output, color")                              \
    X(OUTPUT, "output", 'o', "FORMAT", 1, "table or json")                                                             \
    X(COLOR, "color", 0, "WHEN", 1, "auto, always or never")                                                           \
    X(YES, "yes", 'y', NULL, 1, "do not ask")                                                                          \
    X(HELP, "help", 'h', NULL, 1, "show what the command does")                                                        \
    X(ALL_SHARDS, "all-shards", 0, NULL, 1, "every shard of the migration")                                            \
    X(SHARD, "shard", 's', "NAME", 500, "this shard; may be repeated")                                                 \
    X(SELECTOR, "selector", 'l', "SELECTOR", 1, "shards by label: tier=canary,region!=eu")                             \
    X(TO, "to", 0, "PHASE", 1, "up to this phase, by number or title")                                                 \
    X(ONLY_UNFINISHED, "only-unfinished", 0, NULL, 1, "only shards that have not finished the open phase")             \
    X(REASON, "reason", 0, "TEXT", 1, "kept in the history")                                                           \
    X(WATCH, "watch", 'w', NULL, 1, "stay and show changes as they happen")                                            \
    X(ALL, "all", 'a', NULL, 1, "one line for each shard, however many")                                               \
    X(FOR, "for", 0, "STATE", 1, "phase=N, done, paused or rolled-back")                                               \
    X(TIMEOUT, "timeout", 0, "TIME", 1, "give up after 30s, 10m, 2h")                                                  \
    X(VERBOSE, "verbose", 'v', NULL, 1, "say what happens meanwhile")                                                  \
    X(LIMIT, "limit", 'n', "N", 1, "the last N events; 0: all")                                                        \
    X(LABEL, "label", 0, "KEY=VALUE", 32, "a label of the shard; may be repeated")                                     \
    X(URL, "url", 0, "URL", 4, "where agents find the coordinator; may be repeated")                                   \
    X(OUT, "out", 0, "FILE", 1, "file to write; it must not exist yet")                                                \
    X(COMMENT, "comment", 0, "TEXT", 1, "a note in the public key file")                                               \
    X(FLEET, "fleet", 0, "NAME", 1, "name of the fleet")                                                               \
    X(PERSON, "person", 0, "NAME=PUBFILE:ROLES", 256, "a person, with viewer, operator, approver separated by commas") \
    X(COORDINATOR_KEY, "coordinator", 0, "PUBFILE", 16, "a coordinator's public key; may be repeated")                 \
    X(ROOT, "root", 0, "KEYFILE", 16, "a secret key that vouches for the trust file; may be repeated")                 \
    X(ROOT_THRESHOLD, "root-threshold", 0, "N", 1, "roots that must sign the next version; default: more than half")   \
    X(APPROVALS_MIN, "approvals-min", 0, "N", 1, "approvals that a destructive phase needs at least; default 1")       \
    X(FOUR_EYES, "four-eyes", 0, NULL, 1, "who submitted a plan may not approve it")                                   \
    X(BATCH_TARGET, "batch-target", 0, "TIME", 1, "how long one batch should take: 20ms")                              \
    X(DUTY, "duty", 0, "PERCENT", 1, "share of the time that batches may take: 1 to 100")                              \
    X(MAX_REPLICA_LAG, "max-replica-lag", 0, "TIME", 1, "pause batches above this lag of a replica: 5s")               \
    X(RESET, "reset", 0, NULL, 1, "back to what the plan says")                                                        \
    X(FORWARD, "forward", 0, NULL, 1, "give a rollback up where it stands, and go forward again")                      \
    X(FLAG_OFF, "flag-off", 0, NULL, 1, "you state: the flag is off everywhere, and no new code runs")                 \
    X(PHASE, "phase", 0, "PHASE", 1, "the phase, by number or title")                                                  \
    X(RUNBOOK, "runbook", 0, "FILE", 1, "your own copy of the runbook: what you sign is shown from it")                \
    X(PURGE, "purge", 0, NULL, 1, "sign for the purge phase, too")                                                     \
    X(ROLLBACK_TO, "rollback-to", 0, "PHASE", 1, "a rollback to this phase may lose what new code wrote")              \
    X(EXPIRES, "expires", 0, "TIME", 1, "how long the signature holds; default 7d")                                    \
    X(REVOKE, "revoke", 0, NULL, 1, "take your own signatures back")                                                   \
    X(NOW, "now", 0, NULL, 1, "before the grace period is over")                                                       \
    X(FROM, "from", 0, "FILE", 1, "the trust file to go on from; default: the one that the settings name")             \
    X(ADD_PERSON, "add-person", 0, "NAME=PUBFILE:ROLES", 256, "a person joins, or gets a new key; may be repeated")    \
    X(REMOVE_PERSON, "remove-person", 0, "NAME", 256, "a person leaves; may be repeated")                              \
    X(SET_ROLES, "set-roles", 0, "NAME=ROLES", 256, "other roles for a person; may be repeated")                       \
    X(ADD_ROOT, "add-root", 0, "PUBFILE", 16, "a public key that vouches from now on; may be repeated")                \
    X(REMOVE_ROOT, "remove-root", 0, "KEYID", 16, "a root that no longer vouches; may be repeated")                    \
    X(ADD_COORDINATOR, "add-coordinator", 0, "PUBFILE", 16, "a coordinator's public key; may be repeated")             \
    X(REMOVE_COORDINATOR, "remove-coordinator", 0, "KEYID", 16, "a coordinator that is one no longer")                 \
    X(SET_FOUR_EYES, "four-eyes", 0, "on|off", 1, "whether who submitted a plan may approve it: on means no")          \
    X(ANCHORS, "anchors", 0, "FILE", 100, "what agents hold, as zdm-agent anchors prints it; may be repeated")         \
    X(AMEND, "amend", 0, NULL, 1, "another plan for a migration that is under way")                                    \
    X(JSON, "json", 0, NULL, 1, "the same as -o json")                                                                 \
    X(FROM_SQL, "from", 0, "SQL", 1, "the statements, @FILE, or - for standard input")                                 \
    X(TYPE, "type", 0, "TYPE", 1, "type of the column that is renamed")                                                \
    X(ENGINE, "engine", 0, "NAME", 1, "postgresql or mysql (MariaDB too): whose SQL it is; default postgresql")        \
    X(ID, "id", 0, "ID", 1, "id of the migration; default: made from the SQL")                                         \
    X(OUT_FILE, "output", 'o', "FILE", 1, "file to write; it must not exist yet")

enum ctl_option_id {
#define X(id, name, letter, argument, most, help) CTL_OPT_##id,
    CTL_OPTIONS(X)
#undef X
        CTL_OPT_COUNT
};

#define CTL_BIT(id) (UINT64_C(1) << CTL_OPT_##id)
/* Taken by every command, and allowed in front of it. */
#define CTL_GLOBAL                                                                                                     \
    (CTL_BIT(COORDINATOR) | CTL_BIT(KEY) | CTL_BIT(TRUST) | CTL_BIT(CONFIG) | CTL_BIT(OUTPUT) | CTL_BIT(COLOR) |       \
     CTL_BIT(JSON) | CTL_BIT(YES) | CTL_BIT(HELP))
/* The three ways to choose shards. */
#define CTL_SHARDS (CTL_BIT(ALL_SHARDS) | CTL_BIT(SHARD) | CTL_BIT(SELECTOR))

struct ctl_option {
    const char *name;
    char letter;
    const char *argument;
    unsigned most;
    const char *help;
};

/* What was given of one option; a flag's items are NULL. */
struct ctl_value {
    size_t n;
    const char **items; /* borrowed from argv */
};

struct ctl_options {
    struct ctl_value values[CTL_OPT_COUNT];
    const char **args; /* operands, borrowed from argv */
    size_t n_args;
};

const struct ctl_option *ctl_option_row(enum ctl_option_id id);

/* Parses argv[0..argc) (argv[0] is skipped) for the options of `set`, adding to `out`. operands_too: options and
 * operands may mix (a command's own line); else it stops at the first operand. *out_used: arguments taken, argv[0]
 * included. ZDM_INVALID names the option that is wrong. */
enum zdm_code ctl_options_parse(struct ctl_options *out, uint64_t set, int argc, char **argv, bool operands_too,
                                int *out_used, struct zdm_error *err) ZDM_CHECKED;
void ctl_options_fini(struct ctl_options *options);

bool ctl_given(const struct ctl_options *options, enum ctl_option_id id);
/* The argument that was given last, NULL for none. */
const char *ctl_option_text(const struct ctl_options *options, enum ctl_option_id id);
/* The n-th operand, NULL for none. */
const char *ctl_operand(const struct ctl_options *options, size_t n);

/* A number or a duration out of an option; *out stays as it is when the option was not given. */
enum zdm_code ctl_option_number(const struct ctl_options *options, enum ctl_option_id id, int64_t min, int64_t max,
                                int64_t *out, struct zdm_error *err) ZDM_CHECKED;
enum zdm_code ctl_option_duration(const struct ctl_options *options, enum ctl_option_id id, int64_t *out_ms,
                                  struct zdm_error *err) ZDM_CHECKED;

/* The shards chosen by --all-shards, --shard or -l: exactly one kind. Without any: all when `optional`, else
 * ZDM_INVALID with a hint that says what to write (verb is the command's name). The caller frees *out. */
enum zdm_code ctl_selection_read(const struct ctl_options *options, bool optional, const char *verb,
                                 struct zdm_selection *out, struct zdm_error *err) ZDM_CHECKED;
/* --reason into the request. needed_by: the command that does not do without one, or NULL. */
enum zdm_code ctl_reason_read(const struct ctl_options *options, const char *needed_by, struct zdm_request *request,
                              struct zdm_error *err) ZDM_CHECKED;

#endif
