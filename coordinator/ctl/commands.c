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

static const char resume_help[] = "A paused shard goes on with what it did. A rolled back one takes part again from "
                                  "where the rollback took it to: it "
                                  "moves with the next advance.\n\n"
                                  "Example: zdmctl resume --shard shard-3";

static const char retry_help[] =
    "A shard that failed, or whose agent does not know, tries again: going forward, or back when it was going back. "
    "--forward gives a rollback up that failed or was paused: the shard stays at what is proven done and goes forward "
    "again with the next advance.\n\n"
    "Example: zdmctl retry --shard shard-3 --forward";

static const char rollback_help[] =
    "Says first what will happen, shard by shard and phase by phase, what does not come back exactly and what to do "
    "next; then asks. Nothing is dropped: what the migration added is hidden until zdmctl purge.\n\n"
    "Without --to: as far back as one command may go. When new code may run behind a flag, that is to the end of the "
    "flag's phase: old columns come back while new code still works. Then turn the flag off, and roll back again with "
    "--flag-off, your statement that it is off everywhere and no new code runs.\n\n"
    "Example: zdmctl rollback --all-shards\n"
    "         zdmctl rollback --all-shards --flag-off --reason 'INC-311'";

static const char approve_help[] =
    "Needs the role approver. What you sign is shown from your own copy of the runbook, compiled here: SQL, locks, "
    "what "
    "a rollback would not bring back, shards. When its hash is not that of the submitted plan, that is an error. "
    "Without a selection: every shard.\n\n"
    "--purge signs for the purge phase in the same act. --rollback-to signs for a rollback that loses what new code "
    "wrote. --revoke takes back what you signed and nobody has used: all of it, or that for --phase.\n\n"
    "Example: zdmctl approve --phase 4 --runbook users.md --purge\n"
    "         zdmctl approve --revoke --phase 4";

static const char purge_help[] =
    "Needs the role approver. Signs that the purge phase may run, or, after a rollback or the end of the migration, "
    "that "
    "what rollbacks left hidden may go. As many approvers as are needed type it. Nothing goes before its grace period "
    "is over; --now does not wait for that. What is purged is gone. Without a selection: every shard.\n\n"
    "Example: zdmctl purge users-full-name";

static const char exclude_help[] = "Needs the role approver. An excluded shard is not waited for and gets no work; it "
                                   "stays as it is. For one that was "
                                   "decommissioned, or that must be mended by hand while the others go on.\n\n"
                                   "Example: zdmctl exclude --shard shard-9 --reason 'decommissioned, OPS-7'";

static const char include_help[] =
    "Needs the role approver. The shard is looked at first: it goes on from what is proven done there.\n\n"
    "Example: zdmctl include --shard shard-9";

static const char new_help[] =
    "SQL is what you would have run, or what a framework's migration prints: ALTER TABLE, CREATE INDEX, UPDATE and so "
    "on, several separated by semicolons. What comes out is a runbook that does it step by step without downtime, with "
    "what to do in the application between the steps. Renames, type changes, splits and merges become expand and "
    "contract. A column's type that the SQL does not tell is asked of the fleet when a coordinator is configured; else "
    "--type says it. --engine mysql reads the SQL of MySQL and MariaDB. Without -o it is printed.\n\n"
    "Example: zdmctl new --from 'ALTER TABLE users RENAME COLUMN name TO full_name' -o rename.md";

static const char check_help[] =
    "Compiles the runbook and asks an agent of every shard that it is for what each step would meet: differences "
    "between shards, sizes and times, locks as the server takes them on an empty clone, triggers, publications, "
    "standbys, disk room. Nothing is changed and nothing is registered. What you have judged to be right, the runbook "
    "waives with a reason: waive: {RULE: \"why\"}. Needs the role operator. Exits with 0 when there is nothing above a "
    "note, with 1 when there is, or when a shard did not answer, with 3 when the runbook has errors.\n\n"
    "Example: zdmctl check rename.md";

static const char submit_help[] =
    "Compiles the runbook, signs the plan with your key and registers it. Nothing runs before advance. Prints the hash "
    "that plan prints. Submitting the same runbook again changes nothing.\n\n"
    "--amend gives a migration that is under way another plan, whose phases are the same as far as any shard has gone. "
    "Shows what changes, phase by phase, and asks. What was open and changed closes again, approvals of the plan as it "
    "was count no more; shards, waves and what was done stay.\n\n"
    "Example: zdmctl submit rename.md\n"
    "         zdmctl submit --amend rename.md --reason 'smaller batches'";

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
    {"trust show", "[FILE]", "print a trust file, verified: its versions, who may do what, what changed",
     "Without FILE: the one that the settings name. A proposal can be shown too: with the signatures that it has.\n\n"
     "Example: zdmctl trust show",
     0, 0, 1, ctl_run_trust_show},
    {"trust propose", "[CHANGES] --out FILE", "write the next version of the trust file, to be signed by roots",
     "Starts from the newest version of the trust file and changes what is asked for; --add-person of a name that is "
     "there replaces the key. PUBFILE may also be the public key itself, KEYID the first digits of a key's id. FILE is "
     "a proposal: nothing changes before enough roots have signed it and it is published.\n\n"
     "Example: zdmctl trust propose --add-person eve=eve.pub:operator --remove-person bob --out next",
     CTL_BIT(FROM) | CTL_BIT(OUT) | CTL_BIT(ADD_PERSON) | CTL_BIT(REMOVE_PERSON) | CTL_BIT(SET_ROLES) |
         CTL_BIT(ADD_ROOT) | CTL_BIT(REMOVE_ROOT) | CTL_BIT(ROOT_THRESHOLD) | CTL_BIT(ADD_COORDINATOR) |
         CTL_BIT(REMOVE_COORDINATOR) | CTL_BIT(APPROVALS_MIN) | CTL_BIT(SET_FOUR_EYES),
     0, 0, ctl_run_trust_propose},
    {"trust sign", "FILE --key ROOTKEY", "sign a proposal with a root's key",
     "Shows what the proposal changes, asks, adds the signature to FILE, and says how many are missing: a version must "
     "be signed by enough roots of the version before and by enough of its own. With the last one FILE becomes a trust "
     "file. Works without a network.\n\n"
     "Example: zdmctl trust sign next --key /media/usb/root1",
     0, 1, 1, ctl_run_trust_sign},
    {"trust publish", "FILE", "give a trust file with a new version to the coordinator",
     "FILE is a proposal that enough roots have signed. The coordinator verifies it, keeps it and sends it to every "
     "agent; then your own trust file is replaced, too. Any person may publish: the authority is the roots' "
     "signatures.\n\n"
     "Example: zdmctl trust publish next",
     0, 1, 1, ctl_run_trust_publish},
    {"trust fetch", "", "bring your own trust file up to date",
     "Asks the coordinator for its trust file, verifies that it continues yours, and replaces yours.\n\n"
     "Example: zdmctl trust fetch",
     0, 0, 0, ctl_run_trust_fetch},
    {"new", "--from SQL [--engine NAME] [--type TYPE] [--id ID] [-o FILE]",
     "write a runbook that does what plain SQL says", new_help,
     CTL_BIT(FROM_SQL) | CTL_BIT(ENGINE) | CTL_BIT(TYPE) | CTL_BIT(ID) | CTL_BIT(OUT_FILE), 0, 0, ctl_run_new},
    {"plan", "RUNBOOK", "compile a runbook: phases, steps, locks, warnings",
     "Needs neither a coordinator nor a database. With a coordinator (--coordinator URL) it asks which engines the "
     "fleet "
     "has. Exits with 3 when the runbook has errors, or cannot be run on a shard that it is for.",
     0, 1, 1, ctl_run_plan},
    {"explain", "[RULE]", "what a finding means, and what to write instead",
     "RULE is what stands in brackets behind a finding of plan or check. Without it: all rules, a line each.\n\n"
     "Example: zdmctl explain alter-type",
     0, 0, 1, ctl_run_explain},
    {"check", "RUNBOOK", "ask every shard what the plan would meet there", check_help, 0, 1, 1, ctl_run_check},
    {"submit", "RUNBOOK [--amend]", "sign the plan and register it with the coordinator", submit_help,
     CTL_BIT(AMEND) | CTL_BIT(REASON), 1, 1, ctl_run_submit},
    {"advance", "[MIGRATION] (--all-shards | --shard NAME | -l SELECTOR) [--to PHASE]", "move shards to the next phase",
     selection_help, CTL_SHARDS | CTL_BIT(TO) | CTL_BIT(ONLY_UNFINISHED) | CTL_BIT(REASON), 0, 1, ctl_run_act},
    {"pause", "[MIGRATION] (--all-shards | --shard NAME | -l SELECTOR)", "stop shards at the next safe point",
     selection_help, CTL_SHARDS | CTL_BIT(REASON), 0, 1, ctl_run_act},
    {"resume", "[MIGRATION] (--all-shards | --shard NAME | -l SELECTOR)",
     "let paused shards go on, and rolled back ones take part again", resume_help, CTL_SHARDS | CTL_BIT(REASON), 0, 1,
     ctl_run_act},
    {"retry", "[MIGRATION] (--all-shards | --shard NAME | -l SELECTOR) [--forward]", "let failed shards try again",
     retry_help, CTL_SHARDS | CTL_BIT(REASON) | CTL_BIT(FORWARD), 0, 1, ctl_run_act},
    {"rollback", "[MIGRATION] (--all-shards | --shard NAME | -l SELECTOR) [--to PHASE] [--flag-off]",
     "take shards back, in reverse order", rollback_help,
     CTL_SHARDS | CTL_BIT(TO) | CTL_BIT(FLAG_OFF) | CTL_BIT(REASON), 0, 1, ctl_run_rollback},
    {"approve", "[MIGRATION] (--phase PHASE --runbook FILE [--purge] | --rollback-to PHASE | --revoke)",
     "sign a phase that destroys, or take your signature back", approve_help,
     CTL_SHARDS | CTL_BIT(PHASE) | CTL_BIT(RUNBOOK) | CTL_BIT(PURGE) | CTL_BIT(ROLLBACK_TO) | CTL_BIT(EXPIRES) |
         CTL_BIT(REVOKE) | CTL_BIT(REASON),
     0, 1, ctl_run_approve},
    {"purge", "[MIGRATION] [--shard NAME | -l SELECTOR] [--now]", "really drop what was hidden", purge_help,
     CTL_SHARDS | CTL_BIT(NOW) | CTL_BIT(EXPIRES) | CTL_BIT(REASON), 0, 1, ctl_run_purge},
    {"exclude", "[MIGRATION] (--shard NAME | -l SELECTOR) --reason TEXT", "take shards out of barrier and budget",
     exclude_help, CTL_SHARDS | CTL_BIT(REASON), 0, 1, ctl_run_act},
    {"include", "[MIGRATION] (--shard NAME | -l SELECTOR)", "bring excluded shards back", include_help,
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
    {"agents revoke", "AGENT --reason TEXT", "shut an agent out for good",
     "AGENT is the id of its key, its first digits, or the shard's name when that has one agent. Its session is closed "
     "at once and its key is never let in again; another agent of the shard goes on, or joins with a new token. Data "
     "and journal in the database stay as they are.\n\n"
     "Example: zdmctl agents revoke shard-7 --reason 'host was stolen'",
     CTL_BIT(REASON), 1, 1, ctl_run_agents_revoke},
    {"agents", "", "who is connected, in which version", NULL, 0, 0, 0, ctl_run_agents},
    {"enroll", "SHARD [--label KEY=VALUE] [--url URL]", "make a join token for one agent of a shard",
     "Prints the token, and nothing else, on stdout: whoever has it may join as an agent of that shard, once, within "
     "an "
     "hour. A shard that is known keeps its labels unless --label gives it others. --url says where the agent finds "
     "the coordinator when that is not how the coordinator knows itself.",
     CTL_BIT(LABEL) | CTL_BIT(URL), 1, 1, ctl_run_enroll},
    {"version", "", "the release of zdmctl and of the coordinator", NULL, 0, 0, 0, ctl_run_version},
    {"audit verify", "[--anchors FILE]...", "prove that the coordinator's log is what it was",
     "Fetches the log and verifies it here: the chain of hashes, every signature of a person in it, and that it leads "
     "to "
     "what the agents accepted. --anchors FILE adds what \"zdm-agent anchors\" printed beside a database, which does "
     "not "
     "pass through the coordinator; may be repeated. Exits with 1 when something is wrong, and says where.\n\n"
     "Example: zdmctl audit verify --anchors shard-1.json --anchors shard-2.json",
     CTL_BIT(ANCHORS), 0, 0, ctl_run_audit_verify},
    {"completion", "SHELL", "print the completion script: bash", "In ~/.bashrc: source <(zdmctl completion bash)", 0, 1,
     1, ctl_run_completion},
    {"help", "[COMMAND]", "show help", NULL, 0, 0, 2, ctl_run_help},
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
