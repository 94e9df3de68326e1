/*
 * cmd_info.c - history, agents, version: questions that are answered and printed.
 */
#include "coordinator/ctl/command.h"

#include <stdlib.h>

#include "coordinator/ctl/client/client.h"
#include "coordinator/ctl/text/json.h"
#include "coordinator/ctl/view/view_lists.h"

enum {
    HISTORY_PAGE = 500,
    HISTORY_PAGES_MAX = 20000, /* ten million events */
    HISTORY_DEFAULT = 100,
    HISTORY_LIMIT_MAX = 10 * 1000 * 1000
};

/* ---- history ---- */

/* Moves the events of a page to the end of all, keeping the last `limit` (0: all). *from: where the next page begins.
 */
static bool append_page(json_t *all, const json_t *page, int64_t limit, uint64_t *from)
{
    const json_t *events = json_object_get(page, "events"), *last;
    size_t n = json_array_size(events);
    if (n == 0 || json_array_extend(all, (json_t *)(uintptr_t)events) != 0)
        return false;
    last = json_array_get(events, n - 1);
    *from = (uint64_t)ctl_json_int(last, "seq", 0) + 1;
    size_t have = json_array_size(all);
    if (limit > 0 && have > (size_t)limit) {
        json_t *tail = json_array();
        for (size_t i = have - (size_t)limit; tail != NULL && i < have; i++)
            json_array_append(tail, json_array_get(all, i));
        json_array_clear(all);
        json_array_extend(all, tail);
        json_decref(tail);
    }
    return ctl_json_true(page, "more");
}

static enum zdm_code read_history(struct ctl_client *client, const char *migration, int64_t limit, json_t *all,
                                  struct zdm_error *err)
{
    struct ctl_query query = {.kind = ZDM_QUERY_HISTORY, .migration = migration, .limit = HISTORY_PAGE};
    bool more = true;
    for (int page = 0; more && page < HISTORY_PAGES_MAX; page++) {
        json_t *json = NULL;
        uint64_t from = query.from_seq;
        enum zdm_code code = ctl_ask(client, &query, &json, err);
        if (code != ZDM_OK)
            return code;
        more = append_page(all, json, limit, &query.from_seq) && query.from_seq > from;
        json_decref(json);
    }
    return ZDM_OK;
}

static enum zdm_code print_history(const struct ctl *ctl, json_t *all, struct zdm_error *err)
{
    struct zdm_buffer out = ZDM_BUFFER_INIT;
    ZDM_CLEANUP(ctl_json_free) json_t *history = json_pack("{s:O, s:b}", "events", all, "more", 0);
    if (history == NULL)
        return zdm_error_set(err, ZDM_NOMEM, "out of memory");
    if (ctl_wants_json(ctl))
        return ctl_write_json(history, JSON_INDENT(2), err);
    ctl_view_history(&out, &ctl->look, history);
    enum zdm_code code = ctl_write(&out, err);
    zdm_buffer_fini(&out);
    return code;
}

enum zdm_code ctl_run_history(struct ctl *ctl, struct zdm_error *err)
{
    ZDM_CLEANUP(ctl_client_freep) struct ctl_client *client = NULL;
    ZDM_CLEANUP(ctl_json_free) json_t *all = json_array();
    const char *migration = ctl_operand(&ctl->options, 0);
    int64_t limit = HISTORY_DEFAULT;
    enum zdm_code code = ctl_option_number(&ctl->options, CTL_OPT_LIMIT, 0, HISTORY_LIMIT_MAX, &limit, err);
    if (code == ZDM_OK && all == NULL)
        code = zdm_error_set(err, ZDM_NOMEM, "out of memory");
    if (code == ZDM_OK)
        code = ctl_client_new(ctl, &client, err);
    if (code == ZDM_OK)
        code = read_history(client, migration, limit, all, err);
    return code == ZDM_OK ? print_history(ctl, all, err) : code;
}

/* ---- agents, version ---- */

enum zdm_code ctl_run_agents(struct ctl *ctl, struct zdm_error *err)
{
    const struct ctl_query query = {.kind = ZDM_QUERY_AGENTS};
    ZDM_CLEANUP(ctl_client_freep) struct ctl_client *client = NULL;
    ZDM_CLEANUP(ctl_json_free) json_t *agents = NULL;
    struct zdm_buffer out = ZDM_BUFFER_INIT;
    enum zdm_code code = ctl_client_new(ctl, &client, err);
    if (code == ZDM_OK)
        code = ctl_ask(client, &query, &agents, err);
    if (code != ZDM_OK)
        return code;
    if (ctl_wants_json(ctl))
        return ctl_write_json(agents, JSON_INDENT(2), err);
    ctl_view_agents(&out, &ctl->look, agents);
    code = ctl_write(&out, err);
    zdm_buffer_fini(&out);
    return code;
}

static enum zdm_code print_version(const struct ctl *ctl, json_t *version, struct zdm_error *err)
{
    struct zdm_buffer out = ZDM_BUFFER_INIT;
    if (ctl_wants_json(ctl)) {
        ZDM_CLEANUP(ctl_json_free) json_t *both = version != NULL ? json_incref(version) : json_object();
        if (both == NULL || json_object_set_new(both, "client", json_string(ctl->release)) != 0)
            return zdm_error_set(err, ZDM_NOMEM, "out of memory");
        return ctl_write_json(both, JSON_INDENT(2), err);
    }
    ctl_view_version(&out, &ctl->look, ctl->release, version);
    enum zdm_code code = ctl_write(&out, err);
    zdm_buffer_fini(&out);
    return code;
}

enum zdm_code ctl_run_version(struct ctl *ctl, struct zdm_error *err)
{
    const struct ctl_query query = {.kind = ZDM_QUERY_VERSION};
    ZDM_CLEANUP(ctl_client_freep) struct ctl_client *client = NULL;
    ZDM_CLEANUP(ctl_json_free) json_t *version = NULL;
    struct zdm_error ignored = ZDM_ERROR_INIT;
    enum zdm_code code = ZDM_OK;
    if (ctl->settings.coordinator != NULL) {
        code = ctl_client_new(ctl, &client, err);
        if (code == ZDM_OK)
            code = ctl_ask(client, &query, &version, err);
    }
    if (code != ZDM_OK) { /* what is known is said all the same */
        enum zdm_code half = print_version(ctl, NULL, &ignored);
        (void)half;
        return code;
    }
    return print_version(ctl, version, err);
}
