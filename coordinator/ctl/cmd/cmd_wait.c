/*
 * cmd_wait.c - wait: block until the chosen shards are there. For scripts, so silent unless somebody looks.
 */
#include "coordinator/ctl/command.h"

#include <string.h>

#include "common/os/clock.h"
#include "coordinator/ctl/client/client.h"
#include "coordinator/ctl/client/fleet.h"
#include "coordinator/ctl/text/json.h"
#include "coordinator/ctl/model/wait_rule.h"
#include "coordinator/ctl/cmd/watch.h"

struct waiting {
    struct ctl *ctl;
    struct ctl_wait_for wanted;
    struct zdm_selection selection;
    json_t *fleet;                    /* labels, for selectors; NULL otherwise */
    char migration[ZDM_NAME_MAX + 1]; /* the one that the first status spoke of */
    char said[160];
    bool talks;
    bool lost;
};

static void say(const struct waiting *w, const char *text)
{
    char now[40];
    if (!w->talks)
        return;
    zdm_wall_text(now, sizeof now, zdm_wall_ms(zdm_clock_system()));
    printf("%.8s  %s\n", now + 11, text);
    fflush(stdout);
}

static enum zdm_code judge(void *ctx, const json_t *status, bool *out_end, struct zdm_error *err)
{
    struct waiting *w = ctx;
    struct ctl_wait_score score;
    if (w->lost)
        say(w, "the coordinator is back");
    w->lost = false;
    enum zdm_code code = ctl_wait_judge(&w->wanted, &w->selection, status, w->fleet, &score, err);
    if (code != ZDM_OK)
        return code;
    if (strcmp(w->said, score.text) != 0)
        say(w, score.text);
    zdm_copy_text(w->said, sizeof w->said, score.text);
    *out_end = score.over;
    return ZDM_OK;
}

static void say_lost(void *ctx, const struct zdm_error *why)
{
    struct waiting *w = ctx;
    (void)why;
    w->lost = true;
    say(w, "connection to the coordinator lost; trying again");
}

/* The migration must stay the same one while waiting, also when it ends and another begins. */
static enum zdm_code find_target(struct waiting *w, struct ctl_client *client, struct zdm_error *err)
{
    const struct ctl_query query = {.kind = ZDM_QUERY_FLEET};
    const char *named = ctl_operand(&w->ctl->options, 0);
    struct ctl_target target;
    enum zdm_code code = ctl_ask(client, &query, &w->fleet, err);
    if (code == ZDM_OK)
        code = ctl_target_find(w->fleet, named, &target, err);
    if (code == ZDM_NOT_FOUND && named == NULL)
        return ZDM_OK; /* the last one has ended: status speaks of it */
    if (code == ZDM_OK)
        zdm_copy_text(w->migration, sizeof w->migration, target.migration);
    return code;
}

static enum zdm_code run(struct waiting *w, struct ctl_client *client, int64_t timeout_ms, struct zdm_error *err)
{
    struct ctl_watch watch = {.deadline_ms = timeout_ms >= 0 ? ctl_now() + timeout_ms : INT64_MAX,
                              .status = judge,
                              .lost = say_lost,
                              .ctx = w};
    enum zdm_code code = find_target(w, client, err);
    if (code != ZDM_OK)
        return code;
    watch.migration = w->migration[0] != '\0' ? w->migration : NULL;
    ctl_client_quiet(client);
    code = ctl_watch_run(client, &watch, err);
    if (code == ZDM_TIMEOUT) {
        zdm_error_set(err, ZDM_TIMEOUT, "timed out: %s", w->said[0] != '\0' ? w->said : "nothing was heard");
        zdm_error_hint(err, "zdmctl status says what the others wait for.");
    }
    return code;
}

enum zdm_code ctl_run_wait(struct ctl *ctl, struct zdm_error *err)
{
    ZDM_CLEANUP(ctl_client_freep) struct ctl_client *client = NULL;
    struct waiting w = {.ctl = ctl};
    const char *wanted = ctl_option_text(&ctl->options, CTL_OPT_FOR);
    int64_t timeout_ms = -1;
    if (wanted == NULL) {
        zdm_error_set(err, ZDM_INVALID, "wait needs to know what for");
        return zdm_error_hint(err, "Write --for phase=N, done, paused or rolled-back.");
    }
    w.talks = !ctl_wants_json(ctl) && (ctl->look.terminal || ctl_given(&ctl->options, CTL_OPT_VERBOSE));
    enum zdm_code code = ctl_wait_parse(wanted, &w.wanted, err);
    if (code == ZDM_OK)
        code = ctl_option_duration(&ctl->options, CTL_OPT_TIMEOUT, &timeout_ms, err);
    if (code == ZDM_OK)
        code = ctl_selection_read(&ctl->options, true, "wait", &w.selection, err);
    if (code == ZDM_OK)
        code = ctl_watch_catch_signals(err);
    if (code == ZDM_OK)
        code = ctl_client_new(ctl, &client, err);
    if (code == ZDM_OK)
        code = run(&w, client, timeout_ms, err);
    json_decref(w.fleet);
    zdm_selection_fini(&w.selection);
    return code;
}
