/*
 * commands.c - the table of commands. See command.h.
 */
#include "coordinator/ctl/command.h"

#include <string.h>

#define UNAVAILABLE(name, usage, summary)                                                                              \
    {                                                                                                                  \
        name, usage, summary " (not in this release)", NULL, 0, 0, 64, ctl_run_unavailable                             \
    }

static const char selection_help[] =
    "Shards are chosen by exactly one of --all-shards, --shard NAME (repeatable) and -l SELECTOR, whose terms are "
    "key=value, key!=value, key and !key, separated by commas. MIGRATION may be left out while exactly one is active.";

static const struct ctl_command commands[] = {
    {"keys generate", "[--out FILE]", "make a key pair",
     "Writes the secret key to FILE with mode 0600 and the public key to FILE.pub. Without --out: ~/.config/zdm/key. "
     "An existing file is never overwritten.",
     CTL_BIT(OUT) | CTL_BIT(COMMENT), 0, 0, ctl_run_keys_generate},
    {"keys show", "FILE", "print the id of a key", "FILE is a secret key or a public one. The secret is never printed.",
     0, 1, 1, ctl_run_keys_show},
    {"trust init", "--fleet NAME --person NAME=PUBFILE:ROLES --coordinator PUBFILE --root KEYFILE",
     "make a fleet's first trust file",
     "The trust file says who may do what. It is signed by the roots, whose secret keys are best kept offline; "
     "coordinators and agents are started with it. --person, --coordinator and --root may be repeated. Roles: viewer, "
     "operator, approver, separated by commas; without any: operator.",
     CTL_BIT(FLEET) | CTL_BIT(PERSON) | CTL_BIT(COORDINATOR_KEY) | CTL_BIT(ROOT) | CTL_BIT(ROOT_THRESHOLD) |
         CTL_BIT(APPROVALS_MIN) | CTL_BIT(FOUR_EYES) | CTL_BIT(OUT),
     0, 0, ctl_run_trust_init},
    {"trust show", "[FILE]", "print a trust file, verified", "Without FILE: the one that the settings name.", 0, 0, 1,
     ctl_run_trust_show},
    {"plan", "RUNBOOK", "compile a runbook: phases, steps, locks, warnings",
     "Needs neither a coordinator nor a database. Exits with 3 when the runbook has errors.", 0, 1, 1, ctl_run_plan},
    {"submit", "RUNBOOK", "sign the plan and register it with the coordinator",
     "Compiles the runbook, signs the plan with your key and registers it. Nothing runs before advance. Prints the "
     "hash "
     "that plan prints. Submitting the same runbook again changes nothing.",
     0, 1, 1, ctl_run_submit},
    {"advance", "[MIGRATION] (--all-shards | --shard NAME | -l SELECTOR) [--to PHASE]", "move shards to the next phase",
     selection_help, CTL_SHARDS | CTL_BIT(TO) | CTL_BIT(ONLY_UNFINISHED) | CTL_BIT(REASON), 0, 1, ctl_run_act},
    {"pause", "[MIGRATION] (--all-shards | --shard NAME | -l SELECTOR)", "stop shards at the next safe point",
     selection_help, CTL_SHARDS | CTL_BIT(REASON), 0, 1, ctl_run_act},
    {"resume", "[MIGRATION] (--all-shards | --shard NAME | -l SELECTOR)", "let paused shards go on", selection_help,
     CTL_SHARDS | CTL_BIT(REASON), 0, 1, ctl_run_act},
    {"retry", "[MIGRATION] (--all-shards | --shard NAME | -l SELECTOR)", "let failed shards try again", selection_help,
     CTL_SHARDS | CTL_BIT(REASON), 0, 1, ctl_run_act},
    {"throttle", "[MIGRATION] [--batch-target TIME] [--duty PERCENT] [--max-replica-lag TIME]",
     "change how politely batches run",
     "Holds until it is changed again; what is not given goes back to what the plan says, and --reset takes all of it "
     "back. --duty 100 is no pacing at all.",
     CTL_SHARDS | CTL_BIT(BATCH_TARGET) | CTL_BIT(DUTY) | CTL_BIT(MAX_REPLICA_LAG) | CTL_BIT(RESET) | CTL_BIT(REASON),
     0, 1, ctl_run_act},
    {"freeze", "", "let no shard of the fleet enter a phase",
     "For an incident: what runs goes on (pause stops it), nothing new begins, whatever the migration.",
     CTL_BIT(REASON), 0, 0, ctl_run_act},
    {"thaw", "", "end a freeze", NULL, CTL_BIT(REASON), 0, 0, ctl_run_act},
    {"status", "[MIGRATION] [--watch]", "where every shard is, and what to type next",
     "Many shards in the same state are grouped; --all lists each. Without MIGRATION: the active one, else the one "
     "that ended last.",
     CTL_BIT(WATCH) | CTL_BIT(ALL), 0, 1, ctl_run_status},
    {"wait", "[MIGRATION] --for STATE [--shard NAME] [--timeout TIME]", "block until shards are there; for scripts",
     "STATE is phase=N (all steps up to phase N are proven done), done, paused or rolled-back. Without a selection: "
     "every shard. Exits with 0 when all are there, 1 as soon as one has failed, 5 when the time is up. A restart of "
     "the coordinator meanwhile does not matter.",
     CTL_SHARDS | CTL_BIT(FOR) | CTL_BIT(TIMEOUT) | CTL_BIT(VERBOSE), 0, 1, ctl_run_wait},
    {"history", "[MIGRATION] [--limit N]", "what happened: when, who, what, which shards",
     "Without MIGRATION: of the whole fleet.", CTL_BIT(LIMIT), 0, 1, ctl_run_history},
    {"agents", "", "who is connected, in which version", NULL, 0, 0, 0, ctl_run_agents},
    {"enroll", "SHARD [--label KEY=VALUE] [--url URL]", "make a join token for one agent of a shard",
     "Prints the token, and nothing else, on stdout: whoever has it may join as an agent of that shard, once, within "
     "an "
     "hour. --url says where the agent finds the coordinator when that is not how the coordinator knows itself.",
     CTL_BIT(LABEL) | CTL_BIT(URL), 1, 1, ctl_run_enroll},
    {"version", "", "the release of zdmctl and of the coordinator", NULL, 0, 0, 0, ctl_run_version},
    {"completion", "SHELL", "print the completion script: bash", "In ~/.bashrc: source <(zdmctl completion bash)", 0, 1,
     1, ctl_run_completion},
    {"help", "[COMMAND]", "show help", NULL, 0, 0, 2, ctl_run_help},
    UNAVAILABLE("check", "RUNBOOK", "ask every agent what the plan would meet"),
    UNAVAILABLE("approve", "MIGRATION --phase P", "sign a destructive phase"),
    UNAVAILABLE("rollback", "[MIGRATION]", "take shards back"),
    UNAVAILABLE("purge", "[MIGRATION]", "really drop what was hidden"),
    UNAVAILABLE("exclude", "SHARD", "take a shard out of barrier and budget"),
    UNAVAILABLE("include", "SHARD", "bring an excluded shard back"),
    UNAVAILABLE("audit", "verify", "prove the event log"),
    UNAVAILABLE("flags", "", "feature flags of migrations"),
};

const struct ctl_command *ctl_commands(size_t *out_n)
{
    *out_n = sizeof commands / sizeof commands[0];
    return commands;
}

/* How many of the words the name consists of; 0 when they do not begin with it. */
static int match(const char *name, size_t n_words, char **words)
{
    int used = 0;
    while ((size_t)used < n_words) {
        size_t n = strlen(words[used]);
        if (strncmp(name, words[used], n) != 0 || (name[n] != '\0' && name[n] != ' '))
            return 0;
        used++;
        if (name[n] == '\0')
            return used;
        name += n + 1;
    }
    return 0;
}

const struct ctl_command *ctl_command_find(size_t n_words, char **words, int *out_used)
{
    for (size_t i = 0; i < sizeof commands / sizeof commands[0]; i++) {
        int used = match(commands[i].name, n_words, words);
        if (used > 0) {
            *out_used = used;
            return &commands[i];
        }
    }
    return NULL;
}

const char *ctl_command_guess(const char *word)
{
    const char *best = NULL;
    size_t least = 3;
    for (size_t i = 0; i < sizeof commands / sizeof commands[0]; i++) {
        const char *name = commands[i].name;
        size_t n = strcspn(name, " ");
        bool first_word = name[n] == ' ' && strncmp(name, word, n) == 0 && word[n] == '\0';
        bool begins = strlen(word) >= 3 && strncmp(name, word, strlen(word)) == 0;
        size_t distance = first_word || begins ? 0 : ctl_distance(word, name);
        if (distance < least) {
            least = distance;
            best = name;
        }
    }
    return best;
}
