/*
 * check_servers.c - the last part of `check`: which servers the shards have, and who did not answer.
 */
#include <stdlib.h>
#include <string.h>

#include "common/plan/engines.h"
#include "coordinator/ctl/view/check_page.h"

enum { REASONS_SHOWN = 8 };

/* ---- Servers ---- */

/* How many surveys say the same as the i-th: 0 when an earlier one does. */
static size_t alike(const struct ctl_fleet_survey *fleet, size_t i,
                    bool (*same)(const struct zdm_survey *, const struct zdm_survey *), struct ctl_shard_list *out)
{
    const struct zdm_survey *one = fleet->shards[i].survey;
    out->n = 0;
    for (size_t k = 0; one != NULL && k < fleet->n; k++) {
        const struct zdm_survey *other = fleet->shards[k].survey;
        if (other == NULL || !same(one, other))
            continue;
        if (k < i)
            return 0;
        if (!ZDM_RESERVE(out->items, out->cap, out->n + 1))
            return 0;
        out->items[out->n++] = k;
    }
    return out->n;
}

static bool same_version(const struct zdm_survey *a, const struct zdm_survey *b)
{
    return a->engine == b->engine && strcmp(a->server_version, b->server_version) == 0;
}

static bool same_replicas(const struct zdm_survey *a, const struct zdm_survey *b)
{
    return a->replicas == b->replicas && a->guarded == b->guarded;
}

static size_t of_engine(const struct ctl_fleet_survey *fleet, const struct ctl_shard_list *list, enum zdm_engine engine)
{
    size_t n = 0;
    for (size_t i = 0; i < list->n; i++)
        n += fleet->shards[list->items[i]].survey->engine == engine;
    return n;
}

/* "2 standbys, 1 of them guarded"; what PostgreSQL calls a standby is a replica of MySQL. */
static void put_replicas(struct zdm_buffer *line, const struct ctl_check *check, const struct ctl_shard_list *list)
{
    const struct zdm_survey *survey = check->fleet->shards[list->items[0]].survey;
    size_t mysql = of_engine(check->fleet, list, ZDM_ENGINE_MYSQL);
    const char *one = mysql == 0 ? "standby" : mysql == list->n ? "replica" : "standby or replica";
    const char *many = mysql == 0 ? "standbys" : mysql == list->n ? "replicas" : "standbys or replicas";
    if (survey->replicas == 0)
        zdm_buffer_printf(line, "no %s", one);
    else
        zdm_buffer_printf(line, "%u %s, %u of them guarded, of ", survey->replicas, survey->replicas == 1 ? one : many,
                          survey->guarded);
}

void ctl_check_servers(struct zdm_buffer *out, const struct ctl_look *look, const struct ctl_check *check)
{
    struct ctl_shard_list list = {.n = 0};
    if (ctl_fleet_survey_answered(check->fleet) == 0)
        return;
    ctl_check_heading(out, look, "Servers");
    for (size_t pass = 0; pass < 2; pass++)
        for (size_t i = 0; i < check->fleet->n; i++) {
            struct zdm_buffer line = ZDM_BUFFER_INIT;
            const struct zdm_survey *survey = check->fleet->shards[i].survey;
            if (alike(check->fleet, i, pass == 0 ? same_version : same_replicas, &list) == 0)
                continue;
            char server[64];
            zdm_server_text(server, sizeof server, zdm_engine_name(survey->engine), survey->server_version);
            if (pass == 0)
                zdm_buffer_printf(&line, "%s on ", server);
            else
                put_replicas(&line, check, &list);
            bool all = list.n == ctl_fleet_survey_answered(check->fleet);
            if (pass == 0 || survey->replicas > 0 || !all) {
                zdm_buffer_puts(&line, pass == 1 && survey->replicas == 0 ? " of " : "");
                ctl_check_shards_text(&line, check->fleet, &list);
            }
            ctl_check_line(out, look, pass == 1 && survey->guarded < survey->replicas ? CTL_WARN : CTL_PLAIN,
                           zdm_buffer_text(&line), 2);
            zdm_buffer_fini(&line);
        }
    free(list.items);
}

/* ---- No answer ---- */

/* Who gives the same reason as the i-th: 0 when an earlier one does. */
static size_t silent_alike(const struct ctl_fleet_survey *fleet, size_t i, struct ctl_shard_list *out)
{
    const char *why = fleet->shards[i].why != NULL ? fleet->shards[i].why : "";
    out->n = 0;
    for (size_t k = 0; fleet->shards[i].survey == NULL && k < fleet->n; k++) {
        const struct ctl_shard_survey *other = &fleet->shards[k];
        if (other->survey != NULL || strcmp(other->why != NULL ? other->why : "", why) != 0)
            continue;
        if (k < i)
            return 0;
        if (!ZDM_RESERVE(out->items, out->cap, out->n + 1))
            return 0;
        out->items[out->n++] = k;
    }
    return out->n;
}

static void put_reason(struct zdm_buffer *out, const struct ctl_look *look, const struct ctl_check *check,
                       const struct ctl_shard_list *list)
{
    const char *why = check->fleet->shards[list->items[0]].why;
    struct zdm_buffer line = ZDM_BUFFER_INIT;
    ctl_check_names_text(&line, check->fleet, list);
    zdm_buffer_printf(&line, ": %s", why != NULL ? why : "");
    ctl_check_line(out, look, CTL_BAD, zdm_buffer_text(&line), 2);
    zdm_buffer_fini(&line);
}

void ctl_check_silent(struct zdm_buffer *out, const struct ctl_look *look, const struct ctl_check *check)
{
    struct ctl_shard_list list = {.n = 0};
    size_t reasons = 0, left = check->fleet->n - ctl_fleet_survey_answered(check->fleet);
    if (left > 0)
        ctl_check_heading(out, look, "No answer");
    for (size_t i = 0; i < check->fleet->n && reasons < REASONS_SHOWN; i++) {
        if (silent_alike(check->fleet, i, &list) == 0)
            continue;
        put_reason(out, look, check, &list);
        left -= list.n;
        reasons++;
    }
    if (left > 0) {
        char text[80];
        snprintf(text, sizeof text, "and %zu more, for other reasons: -o json has them all", left);
        ctl_check_line(out, look, CTL_BAD, text, 2);
    }
    free(list.items);
}
