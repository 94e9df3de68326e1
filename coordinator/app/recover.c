/*
 * recover.c - see recover.h.
 */
#include "coordinator/app/recover.h"

#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "common/os/clock.h"
#include "common/os/config.h"
#include "common/os/crypto.h"
#include "common/os/daemon.h"
#include "coordinator/core/state.h"

enum { WAIT_MS = 60000, POLL_MS = 200, WAIT_MAX_MS = 24 * 60 * 60 * 1000 };

/* ---- Options ---- */

static enum zdm_code take_value(const char *flag, int argc, char **argv, int *i, const char **out,
                                struct zdm_error *err)
{
    size_t n = strlen(flag);
    if (argv[*i][n] == '=') {
        *out = argv[*i] + n + 1;
        return ZDM_OK;
    }
    if (*i + 1 >= argc)
        return zdm_error_set(err, ZDM_INVALID, "%s needs a value", flag);
    *out = argv[++*i];
    return ZDM_OK;
}

static bool is_flag(const char *argument, const char *flag)
{
    size_t n = strlen(flag);
    return strncmp(argument, flag, n) == 0 && (argument[n] == '\0' || argument[n] == '=');
}

static enum zdm_code parse_wait(const char *text, int64_t *out_ms, struct zdm_error *err)
{
    const struct zdm_setting row = {"wait", NULL, ZDM_SETTING_DURATION_MS, out_ms, 1, WAIT_MAX_MS, ""};
    return zdm_config_set(&row, text, "--wait", err);
}

enum zdm_code recover_options_take(struct recover_options *out, int *argc, char **argv, struct zdm_error *err)
{
    enum zdm_code code = ZDM_OK;
    const char *wait = NULL;
    int kept = 0;
    *out = (struct recover_options){.wait_ms = WAIT_MS};
    for (int i = 0; i < *argc && code == ZDM_OK; i++) {
        if (strcmp(argv[i], "--yes") == 0)
            out->yes = true;
        else if (is_flag(argv[i], "--key"))
            code = take_value("--key", *argc, argv, &i, &out->key, err);
        else if (is_flag(argv[i], "--wait"))
            code = take_value("--wait", *argc, argv, &i, &wait, err);
        else
            argv[kept++] = argv[i];
    }
    *argc = kept;
    if (code == ZDM_OK && wait != NULL)
        code = parse_wait(wait, &out->wait_ms, err);
    if (code == ZDM_OK && out->key == NULL) {
        zdm_error_set(err, ZDM_INVALID, "the operator's key is missing");
        return zdm_error_hint(err, "zdm-coordinator recover --key FILE: the secret key of a person with the role "
                                   "operator. The coordinator's own key comes from the settings.");
    }
    return code;
}

/* ---- Hearing ---- */

struct count {
    size_t enrolled, heard;
};

static struct count count_agents(const struct coord_driver *driver)
{
    const struct coord_state *state = coord_driver_state(driver);
    struct count count = {.enrolled = 0};
    for (size_t i = 0; i < state->n_agents; i++) {
        const struct coord_heard *heard = coord_view_find(coord_driver_view(driver), &state->agents[i].id);
        count.enrolled += !state->agents[i].revoked;
        count.heard += !state->agents[i].revoked && heard != NULL && heard->journal;
    }
    return count;
}

static enum zdm_code hear_agents(struct coord_driver *driver, int64_t wait_ms, void (*poll)(void *ctx, int64_t wait_ms),
                                 void *ctx, struct zdm_error *err)
{
    int64_t deadline = zdm_boot_ms(zdm_clock_system()) + wait_ms;
    struct count count = count_agents(driver), shown = {.heard = SIZE_MAX};
    while (count.heard < count.enrolled && zdm_boot_ms(zdm_clock_system()) < deadline) {
        if (count.heard != shown.heard)
            fprintf(stderr, "%zu of %zu agents heard\n", count.heard, count.enrolled);
        shown = count;
        poll(ctx, POLL_MS);
        (void)coord_driver_turn(driver);
        if (coord_driver_ended(driver, err))
            return err->code;
        if (zdm_daemon_should_stop())
            return zdm_error_set(err, ZDM_CANCELLED, "stopped; nothing was changed");
        count = count_agents(driver);
    }
    if (count.heard != 0 || count.enrolled == 0)
        return ZDM_OK;
    zdm_error_set(err, ZDM_UNAVAILABLE, "no agent was heard: what would be lost is not known; nothing was changed");
    return zdm_error_hint(err, "Recover listens where the coordinator does. Check that the agents run and find it, and "
                               "wait longer: --wait 5m.");
}

/* ---- What agents know that this log does not ---- */

enum standing {
    STANDS_FITS = 0,
    STANDS_LATER, /* the same order, given again by a coordinator that this log does not know */
    STANDS_AHEAD, /* an order that this log does not know */
    STANDS_UNKNOWN_MIGRATION
};

static enum standing standing_of(const struct coord_state *state, const struct zdm_migration_report *mr)
{
    const struct zdm_fence *seen = &mr->accepted;
    const struct zdm_hash *anchor = coord_anchor_at(state, seen->generation);
    if (seen->epoch < state->recovered_epoch)
        return STANDS_FITS; /* given up before */
    if (coord_find_migration(state, mr->migration) == NULL)
        return STANDS_UNKNOWN_MIGRATION;
    if (seen->generation > state->head_seq || anchor == NULL || !zdm_hash_equal(anchor, &seen->anchor))
        return STANDS_AHEAD;
    bool foreign = seen->epoch == state->epoch && !zdm_id_equal(&seen->instance, &state->instance);
    return seen->epoch > state->epoch || foreign ? STANDS_LATER : STANDS_FITS;
}

struct survey {
    size_t ahead, unknown, later, unheard;
};

static void print_row(const char *shard, const char *migration, const char *ours, const char *theirs, const char *lost)
{
    printf("%-20s %-28s %-28s %-34s %s\n", shard, migration, ours, theirs, lost);
}

static void describe_ours(const struct coord_state *state, const struct zdm_migration_report *mr, const char *shard,
                          char *out, size_t size)
{
    const struct coord_migration *m = coord_find_migration(state, mr->migration);
    long i = m != NULL ? coord_find_shard(m, shard) : -1;
    if (i < 0)
        (void)snprintf(out, size, "nothing");
    else
        (void)snprintf(out, size, "%s, phase %" PRIu32 ", event %" PRIu64, coord_status_name(m->shards[i].status),
                       m->shards[i].at, m->shards[i].generation);
}

static void describe_theirs(const struct zdm_migration_report *mr, char *out, size_t size)
{
    int n = mr->proven ? snprintf(out, size, "phase %" PRIu32 ", ", mr->proven_phase) : 0;
    if (n >= 0 && (size_t)n < size)
        (void)snprintf(out + n, size - (size_t)n, "event %" PRIu64 " of epoch %" PRIu64, mr->accepted.generation,
                       mr->accepted.epoch);
}

static void survey_report(const struct coord_state *state, const char *shard, const struct zdm_migration_report *mr,
                          struct survey *survey)
{
    static const char *const lost[] = {[STANDS_LATER] = "nothing: the same order, given again",
                                       [STANDS_AHEAD] = "what was decided after this log's end",
                                       [STANDS_UNKNOWN_MIGRATION] = "the migration: this log has never heard of it"};
    char ours[64], theirs[64];
    enum standing standing = mr->accepted.generation != 0 ? standing_of(state, mr) : STANDS_FITS;
    if (standing == STANDS_FITS)
        return;
    survey->later += standing == STANDS_LATER;
    survey->ahead += standing == STANDS_AHEAD;
    survey->unknown += standing == STANDS_UNKNOWN_MIGRATION;
    describe_ours(state, mr, shard, ours, sizeof ours);
    describe_theirs(mr, theirs, sizeof theirs);
    print_row(shard, mr->migration, ours, theirs, lost[standing]);
}

static struct survey survey_agents(const struct coord_driver *driver)
{
    const struct coord_state *state = coord_driver_state(driver);
    struct survey survey = {.ahead = 0};
    print_row("SHARD", "MIGRATION", "THIS LOG", "THE SHARD", "LOST");
    for (size_t i = 0; i < state->n_agents; i++) {
        const struct coord_agent *agent = &state->agents[i];
        const struct coord_heard *heard = coord_view_find(coord_driver_view(driver), &agent->id);
        if (agent->revoked)
            continue;
        if (heard == NULL || !heard->journal) {
            print_row(agent->shard, "?", "?", "not heard", "not known");
            survey.unheard++;
            continue;
        }
        for (size_t j = 0; j < heard->report.n_migrations; j++)
            survey_report(state, agent->shard, &heard->report.migrations[j], &survey);
    }
    return survey;
}

/* ---- Deciding ---- */

static void tell_consequences(const struct coord_driver *driver, const struct survey *survey)
{
    printf("\nIf this log goes on, its epoch is %" PRIu64 " and every shard of an active migration is paused.\n",
           coord_driver_seen_epoch(driver) + 1);
    if (survey->ahead > 0)
        printf("%zu shard%s done or begun what this log does not know: each is looked at again before it goes on.\n",
               survey->ahead, survey->ahead == 1 ? " has" : "s have");
    if (survey->unknown > 0)
        printf("%zu shard%s of a migration that this log does not know: submit its runbook again to go on with it.\n",
               survey->unknown, survey->unknown == 1 ? " is" : "s are");
    if (survey->unheard > 0)
        printf("%zu agent%s not heard: if it follows a still later epoch, this coordinator will fence itself again.\n",
               survey->unheard, survey->unheard == 1 ? " was" : "s were");
}

static enum zdm_code ask_consent(const struct recover_options *options, struct zdm_error *err)
{
    char answer[16] = "";
    if (options->yes)
        return ZDM_OK;
    if (isatty(STDIN_FILENO) == 0) {
        zdm_error_set(err, ZDM_REFUSED, "nobody is there to agree; nothing was changed");
        return zdm_error_hint(err, "Look at what is lost, then: --yes.");
    }
    printf("Go on with this log? [y/N] ");
    (void)fflush(stdout);
    if (fgets(answer, sizeof answer, stdin) == NULL || (answer[0] != 'y' && answer[0] != 'Y'))
        return zdm_error_set(err, ZDM_CANCELLED, "nothing was changed");
    return ZDM_OK;
}

static enum zdm_code write_decision(struct coord_driver *driver, const struct zdm_signing_key *key,
                                    const struct survey *survey, struct zdm_error *err)
{
    char reason[ZDM_TEXT_MAX + 1];
    struct count count = count_agents(driver);
    (void)snprintf(reason, sizeof reason,
                   "%zu of %zu agents heard; %zu ahead of this log, %zu in migrations that it does not know",
                   count.heard, count.enrolled, survey->ahead, survey->unknown);
    enum zdm_code code = coord_driver_recover(driver, key, reason, err);
    if (code == ZDM_OK)
        printf("recovered: epoch %" PRIu64 "\n"
               "Start the coordinator; then look at each shard with zdmctl status, and let it go on: zdmctl resume.\n",
               coord_driver_state(driver)->epoch);
    return code;
}

static enum zdm_code decide(struct coord_driver *driver, const struct recover_options *options, bool restored,
                            const struct zdm_signing_key *key, struct zdm_error *err)
{
    const struct coord_state *state = coord_driver_state(driver);
    bool fenced = state->fenced || restored;
    printf("this log: %" PRIu64 " events, epoch %" PRIu64 "%s\n\n", state->head_seq, state->epoch,
           state->fenced ? ", fenced"
           : restored    ? ", restored from a backup"
                         : "");
    struct survey survey = survey_agents(driver);
    if (!fenced && survey.ahead + survey.unknown + survey.later == 0) {
        zdm_error_set(err, ZDM_REFUSED,
                      "there is nothing to recover: this log is not fenced and no agent is ahead of "
                      "it; nothing was changed");
        return zdm_error_hint(err, "Start the coordinator as ever.");
    }
    tell_consequences(driver, &survey);
    enum zdm_code code = ask_consent(options, err);
    return code == ZDM_OK ? write_decision(driver, key, &survey, err) : code;
}

enum zdm_code recover_log(struct coord_driver *driver, const struct recover_options *options, bool restored,
                          void (*poll)(void *ctx, int64_t wait_ms), void *ctx, struct zdm_error *err)
{
    struct zdm_signing_key key;
    const char *name;
    enum zdm_code code = zdm_key_file_read(options->key, &key, err);
    if (code == ZDM_OK)
        code = coord_driver_may_recover(driver, &key.id, &name, err);
    if (code == ZDM_OK)
        code = hear_agents(driver, options->wait_ms, poll, ctx, err);
    if (code == ZDM_OK)
        code = decide(driver, options, restored, &key, err);
    zdm_signing_key_wipe(&key);
    return code;
}
