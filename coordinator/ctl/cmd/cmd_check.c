/*
 * cmd_check.c - check: a runbook is compiled, and every shard is asked what its plan would meet there. Nothing changes.
 */
#include "coordinator/ctl/command.h"

#include <stdlib.h>
#include <string.h>

#include "common/plan/engines.h"
#include "coordinator/ctl/view/check_view.h"
#include "coordinator/ctl/cmd/source.h"

static void show_progress(void *ctx, const struct ctl_fleet_survey *so_far)
{
    size_t n = ctl_fleet_survey_answered(so_far);
    (void)ctx;
    fprintf(stderr, "\r%zu shard%s answered ", n, n == 1 ? " has" : "s have");
    fflush(stderr);
}

static void begin_progress(void)
{
    fputs("asking the shards ", stderr);
    fflush(stderr);
}

static void end_progress(void)
{
    fputs("\r                              \r", stderr);
    fflush(stderr);
}

enum zdm_code ctl_survey_compiled(const struct ctl *ctl, const struct ctl_compiled *c, struct ctl_fleet_survey *out,
                                  struct zdm_error *err)
{
    ZDM_CLEANUP(ctl_client_freep) struct ctl_client *client = NULL;
    struct zdm_buffer upload;
    bool watched = ctl_is_interactive() && ctl->look.terminal;
    *out = (struct ctl_fleet_survey){.n = 0};
    zdm_buffer_init(&upload, ZDM_PLAN_MAX);
    enum zdm_code code = ctl_client_new(ctl, &client, err);
    if (code == ZDM_OK)
        code = ctl_compiled_sign(client, c, &upload, err);
    if (code == ZDM_OK) {
        if (watched)
            begin_progress();
        code = ctl_survey(client, &upload, &c->plan->hash, watched ? show_progress : NULL, NULL, out, err);
        if (watched)
            end_progress();
        if (code == ZDM_CLOSED) {
            zdm_error_wrap(err, "the coordinator went away while it asked the shards");
            zdm_error_hint(err, "Nothing was changed. Ask again when it is back.");
        }
    }
    zdm_buffer_fini(&upload);
    return code;
}

/* "2 errors, 1 warning" */
static void put_counts(struct zdm_buffer *out, size_t errors, size_t warnings, size_t silent)
{
    const struct {
        size_t n;
        const char *one, *many;
    } rows[] = {{errors, "error", "errors"},
                {warnings, "warning", "warnings"},
                {silent, "shard without an answer", "shards without an answer"}};
    for (size_t i = 0; i < sizeof rows / sizeof *rows; i++)
        if (rows[i].n > 0)
            zdm_buffer_printf(out, "%s%zu %s", out->len > 0 ? ", " : "", rows[i].n,
                              rows[i].n == 1 ? rows[i].one : rows[i].many);
}

/* Exits with 1 when there is something above a note, or somebody of whom nothing is known. */
static enum zdm_code verdict(const struct ctl_check *check, struct zdm_error *err)
{
    struct zdm_buffer counts = ZDM_BUFFER_INIT;
    size_t silent = check->fleet->n - ctl_fleet_survey_answered(check->fleet);
    size_t errors = ctl_check_count(check, ZDM_LEVEL_ERROR), warnings = ctl_check_count(check, ZDM_LEVEL_WARNING);
    enum zdm_code code = ZDM_OK;
    if (errors + warnings + silent > 0) {
        put_counts(&counts, errors, warnings, silent);
        code = zdm_error_set(err, ZDM_DATABASE, "%s: %s", check->plan->id, zdm_buffer_text(&counts));
        if (errors > 0)
            zdm_error_hint(err, "Mend what is listed above before you submit. What you have judged to be right, the "
                                "runbook waives with a reason: waive: {RULE: \"why\"}.");
        else if (warnings > 0)
            zdm_error_hint(err, "Read what is listed above. What you have judged to be right, the runbook waives with "
                                "a reason: waive: {RULE: \"why\"}.");
        else
            zdm_error_hint(err, "Nothing is known of who did not answer: see to the agents (zdmctl agents), and check "
                                "again.");
    }
    zdm_buffer_fini(&counts);
    return code;
}

/* The last line where nothing stands in the way; what does is the error's to say. */
static void put_clean(struct zdm_buffer *out, const struct ctl *ctl, const struct ctl_check *check)
{
    size_t answered = ctl_fleet_survey_answered(check->fleet);
    size_t notes = ctl_check_count(check, ZDM_LEVEL_NOTE), waived = ctl_check_waived(check);
    if (answered != check->fleet->n ||
        ctl_check_count(check, ZDM_LEVEL_ERROR) + ctl_check_count(check, ZDM_LEVEL_WARNING) > 0)
        return;
    struct zdm_buffer line = ZDM_BUFFER_INIT;
    zdm_buffer_printf(&line, "%s: nothing above a note on %zu shard%s: %zu note%s, %zu waived", check->plan->id,
                      answered, answered == 1 ? "" : "s", notes, notes == 1 ? "" : "s", waived);
    zdm_buffer_puts(out, "\n");
    ctl_wrap(out, &ctl->look, CTL_GOOD, zdm_buffer_text(&line), 0, 4);
    zdm_buffer_fini(&line);
}

static enum zdm_code show(const struct ctl *ctl, const struct ctl_check *check, struct zdm_error *err)
{
    struct zdm_buffer out = ZDM_BUFFER_INIT;
    if (ctl_wants_json(ctl))
        ctl_check_json(&out, check);
    else {
        ctl_check_text(&out, &ctl->look, check);
        put_clean(&out, ctl, check);
    }
    enum zdm_code code = ctl_write(&out, err);
    zdm_buffer_fini(&out);
    return code;
}

/* What would be refused when it is submitted. */
static enum zdm_code refuse_unfit(const struct ctl_fleet_survey *fleet, const struct zdm_plan *plan,
                                  struct zdm_error *err)
{
    struct zdm_unfit unfit = {.n = 0};
    for (size_t i = 0; i < fleet->n; i++)
        if (fleet->shards[i].survey != NULL)
            zdm_unfit_add(&unfit, plan, fleet->shards[i].survey->engine, fleet->shards[i].shard);
    return zdm_unfit_judge(&unfit, plan, err);
}

static enum zdm_code check(const struct ctl *ctl, const struct ctl_compiled *c, struct zdm_error *err)
{
    struct ctl_fleet_survey fleet;
    struct ctl_grouped grouped = {.failed = false};
    enum zdm_code code = ctl_survey_compiled(ctl, c, &fleet, err);
    if (code == ZDM_OK)
        code = refuse_unfit(&fleet, c->plan, err);
    if (code == ZDM_OK) {
        ctl_group(&fleet, c->plan, c->notes, &grouped);
        const struct ctl_check all = {c->plan, c->notes, &fleet, &grouped};
        code = grouped.failed ? zdm_error_set(err, ZDM_NOMEM, "out of memory") : show(ctl, &all, err);
        if (code == ZDM_OK)
            code = verdict(&all, err);
    }
    ctl_grouped_fini(&grouped);
    ctl_fleet_survey_fini(&fleet);
    return code;
}

enum zdm_code ctl_run_check(struct ctl *ctl, struct zdm_error *err)
{
    const char *path = ctl_operand(&ctl->options, 0);
    struct ctl_compiled c = {.plan = NULL};
    enum zdm_code code = ctl_compile(path, &c, err);
    if (code == ZDM_IO || code == ZDM_NOT_FOUND)
        code = err->code = ZDM_INVALID; /* 1 means that something was found */
    if (code == ZDM_OK && c.plan == NULL) {
        code = ctl_compiled_show(ctl, &c, err);
        if (code == ZDM_OK)
            code = ctl_compiled_refuse(path, c.notes, err);
    } else if (code == ZDM_OK) {
        code = check(ctl, &c, err);
    }
    ctl_compiled_fini(&c);
    return code;
}
