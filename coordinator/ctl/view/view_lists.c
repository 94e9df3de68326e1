/*
 * view_lists.c - history, agents, versions and the trust file for people. See view_lists.h.
 */
#include "coordinator/ctl/view/view_lists.h"

#include <inttypes.h>
#include <string.h>

#include "common/plan/engines.h"
#include "coordinator/ctl/text/json.h"
#include "coordinator/ctl/text/table.h"

enum { NAMES_SHOWN = 4, SHORT_ID = 8, TIME_COLUMNS = 10 };

/* ---- History ---- */

static bool is_name_char(char c)
{
    return (c >= 'a' && c <= 'z') || (c >= '0' && c <= '9') || c == '-' || c == '_' || c == '.';
}

/* Does the sentence hold the name as a word of its own? */
static bool names(const char *sentence, const char *name)
{
    size_t n = strlen(name);
    for (const char *at = strstr(sentence, name); n > 0 && at != NULL; at = strstr(at + 1, name))
        if ((at == sentence || !is_name_char(at[-1])) && !is_name_char(at[n]))
            return true;
    return false;
}

/* " (shard-1, shard-2 and 5 more)", unless the sentence names them itself. */
static void put_names(struct zdm_buffer *line, const json_t *event, const char *sentence)
{
    const json_t *shards = json_object_get(event, "shards"), *shard;
    size_t index, n = json_array_size(shards) + (size_t)ctl_json_int(event, "more_shards", 0);
    const char *first = json_string_value(json_array_get(shards, 0));
    if (json_array_size(shards) == 0 || (first != NULL && names(sentence, first)))
        return;
    zdm_buffer_puts(line, " (");
    json_array_foreach(shards, index, shard)
    {
        const char *name = json_string_value(shard);
        if (index == NAMES_SHOWN && n > NAMES_SHOWN + 1) {
            zdm_buffer_printf(line, " and %zu more", n - index);
            break;
        }
        zdm_buffer_printf(line, "%s%s", index > 0 ? ", " : "", name != NULL ? name : "?");
    }
    zdm_buffer_puts(line, ")");
}

static enum ctl_style style_of(const char *type)
{
    static const struct {
        const char *type;
        enum ctl_style style;
    } styles[] = {
        {"shard_failed", CTL_BAD},     {"shard_unsure", CTL_BAD},     {"migration_halted", CTL_BAD},
        {"fenced", CTL_BAD},           {"gate_vetoed", CTL_BAD},      {"shard_reached", CTL_GOOD},
        {"shard_regressed", CTL_WARN}, {"fleet_frozen", CTL_WARN},    {"migration_ended", CTL_GOOD},
        {"operator_acted", CTL_BOLD},  {"phase_opened", CTL_BOLD},    {"migration_submitted", CTL_BOLD},
        {"epoch_started", CTL_DIM},    {"features_enabled", CTL_DIM}, {"log_opened", CTL_DIM},
        {"barrier_opened", CTL_DIM},   {"wave_opened", CTL_DIM},
    };
    for (size_t i = 0; i < sizeof styles / sizeof styles[0]; i++)
        if (strcmp(type, styles[i].type) == 0)
            return styles[i].style;
    return CTL_PLAIN;
}

static void put_event(struct zdm_buffer *out, const struct ctl_look *look, const json_t *event, bool one_migration)
{
    struct zdm_buffer line = ZDM_BUFFER_INIT;
    const char *at = ctl_json_text(event, "at"), *text = ctl_json_text(event, "text");
    const char *by = ctl_json_text(event, "by"), *migration = ctl_json_text(event, "migration");
    char clock[16] = "";
    if (strlen(at) >= 19)
        snprintf(clock, sizeof clock, "%.8s", at + 11);
    ctl_cell(out, look, CTL_DIM, clock, TIME_COLUMNS, false);
    if (text[0] == '\0')
        text = ctl_json_text(event, "type");
    if (by[0] != '\0' && !names(text, by))
        zdm_buffer_printf(&line, "%s: ", by);
    zdm_buffer_puts(&line, text);
    put_names(&line, event, text);
    if (!one_migration && migration[0] != '\0' && !names(text, migration))
        zdm_buffer_printf(&line, " [%s]", migration);
    ctl_wrap(out, look, style_of(ctl_json_text(event, "type")), zdm_buffer_text(&line), TIME_COLUMNS, TIME_COLUMNS);
    zdm_buffer_fini(&line);
}

static bool is_type(const json_t *event, const char *type)
{
    return strcmp(ctl_json_text(event, "type"), type) == 0;
}

/* Whoever came back stays there, and whoever dropped what was hidden is done: the order that settles it tells nothing.
 */
static bool follows_of_itself(const json_t *event, const json_t *before)
{
    const char *text = ctl_json_text(event, "text");
    return is_type(event, "shards_directed") &&
           ((is_type(before, "shard_undone") && strstr(text, " left there") != NULL) ||
            (is_type(before, "shard_purged") && strstr(text, " told to go on as before") != NULL));
}

/* An act and its first consequence often tell the same story: once is enough, by the one that tells more. A reason that
 * a person gave stands after a colon and is never left out. */
static bool is_said_again(const json_t *events, size_t index)
{
    const json_t *event = json_array_get(events, index), *next = json_array_get(events, ++index);
    const char *text = ctl_json_text(event, "text"), *by = ctl_json_text(event, "by");
    if (text[0] != '\0' && strcmp(text, ctl_json_text(next, "text")) == 0)
        return true;
    const json_t *before = index > 1 ? json_array_get(events, index - 2) : NULL;
    if (is_type(event, "enrolment_issued"))
        return is_type(before, "operator_acted");
    size_t n = strlen(text);
    if (is_type(event, "approval_added") && is_type(before, "operator_acted") && n > 0 &&
        strncmp(ctl_json_text(before, "text"), text, n) == 0 &&
        ctl_json_text(before, "text")[n] == ':') /* the act told its reason, too */
        return true;
    if (follows_of_itself(event, before))
        return true;
    while (is_type(next, "gate_passed"))
        next = json_array_get(events, ++index);
    return is_type(event, "operator_acted") && strchr(text, ':') == NULL &&
           (is_type(next, "phase_opened") || is_type(next, "migration_submitted")) &&
           strcmp(by, ctl_json_text(next, "by")) == 0;
}

/* Do all events speak of the same migration, or of none? Then its name need not stand at each. */
static bool is_one_migration(const json_t *events)
{
    const json_t *event;
    const char *known = "";
    size_t index;
    json_array_foreach(events, index, event)
    {
        const char *name = ctl_json_text(event, "migration");
        if (name[0] != '\0' && known[0] != '\0' && strcmp(name, known) != 0)
            return false;
        if (name[0] != '\0')
            known = name;
    }
    return true;
}

void ctl_view_history(struct zdm_buffer *out, const struct ctl_look *look, const json_t *history)
{
    const json_t *events = json_object_get(history, "events"), *event;
    bool one_migration = is_one_migration(events);
    char day[16] = "";
    size_t index;
    if (json_array_size(events) == 0)
        zdm_buffer_puts(out, "nothing has happened yet\n");
    json_array_foreach(events, index, event)
    {
        const char *at = ctl_json_text(event, "at");
        if (is_said_again(events, index))
            continue;
        if (strlen(at) >= 10 && strncmp(day, at, 10) != 0) {
            snprintf(day, sizeof day, "%.10s", at);
            zdm_buffer_puts(out, out->len > 0 ? "\n" : "");
            ctl_put(out, look, CTL_BOLD, day);
            zdm_buffer_puts(out, " (UTC)\n");
        }
        put_event(out, look, event, one_migration);
    }
}

/* ---- Agents ---- */

static void labels_text(char *out, size_t size, const json_t *labels)
{
    struct zdm_buffer text = ZDM_BUFFER_INIT;
    const char *key;
    json_t *value;
    json_object_foreach((json_t *)labels, key, value)
    {
        const char *v = json_string_value(value);
        zdm_buffer_printf(&text, "%s%s=%s", text.len > 0 ? "," : "", key, v != NULL ? v : "");
    }
    zdm_copy_text(out, size, zdm_buffer_text(&text));
    zdm_buffer_fini(&text);
}

static void seen_text(char *out, size_t size, const json_t *agent)
{
    int64_t heard_ms = ctl_json_int(agent, "heard_ms", -1);
    char ago[32];
    ctl_seconds_text(ago, sizeof ago, heard_ms / 1000);
    if (ctl_json_true(agent, "revoked"))
        snprintf(out, size, "revoked");
    else if (ctl_json_true(agent, "connected"))
        snprintf(out, size, "connected");
    else if (heard_ms >= 0)
        snprintf(out, size, "gone %s", ago);
    else
        snprintf(out, size, "not seen");
}

static void database_text(char *out, size_t size, const json_t *agent)
{
    const char *state = ctl_json_text(agent, "database");
    char server[64];
    zdm_server_text(server, sizeof server, ctl_json_text(agent, "engine"), ctl_json_text(agent, "server_version"));
    if (strcmp(state, "connected") == 0)
        snprintf(out, size, "%.41s%s", server, ctl_json_true(agent, "writable") ? "" : ", read-only");
    else
        snprintf(out, size, "%.24s", state[0] != '\0' ? state : "not known");
}

/* versions: with the columns of release and trust version. */
static void put_agent(struct ctl_table *table, const json_t *agent, bool versions)
{
    char id[SHORT_ID + 1], seen[48], database[80], labels[256], trust[24];
    snprintf(id, sizeof id, "%.*s", (int)SHORT_ID, ctl_json_text(agent, "agent"));
    seen_text(seen, sizeof seen, agent);
    database_text(database, sizeof database, agent);
    labels_text(labels, sizeof labels, json_object_get(agent, "labels"));
    snprintf(trust, sizeof trust, "%" PRId64, ctl_json_int(agent, "trust_version", 0));
    const char *const all[] = {ctl_json_text(agent, "shard"),   id,    seen,  database,
                               ctl_json_text(agent, "release"), trust, labels};
    const char *const most[] = {all[0], all[1], all[2], all[3], all[6]};
    ctl_table_row(table, versions ? all : most);
}

/* The one that the others are compared with: a revoked agent says nothing any more. */
static const json_t *first_of(const json_t *list)
{
    const json_t *agent;
    size_t index;
    json_array_foreach(list, index, agent) if (!ctl_json_true(agent, "revoked")) return agent;
    return json_array_get(list, 0);
}

/* Do all agents that were heard run the same release with the same trust file? */
static bool is_uniform(const json_t *list)
{
    const json_t *agent, *first = first_of(list);
    size_t index;
    json_array_foreach(list, index, agent)
    {
        if (ctl_json_true(agent, "revoked"))
            continue;
        if (strcmp(ctl_json_text(agent, "release"), ctl_json_text(first, "release")) != 0 ||
            ctl_json_int(agent, "trust_version", 0) != ctl_json_int(first, "trust_version", 0))
            return false;
    }
    return true;
}

/* What is wrong with an agent, below the table: a signal that holds batches back, an error of its database. */
static void put_troubles(struct zdm_buffer *out, const struct ctl_look *look, const json_t *agent)
{
    const json_t *signals = json_object_get(agent, "signals"), *signal;
    const char *shard = ctl_json_text(agent, "shard"), *error = ctl_json_text(agent, "error");
    char line[256];
    size_t index;
    if (error[0] != '\0') {
        ctl_put(out, look, CTL_BAD, shard);
        zdm_buffer_puts(out, ": ");
        ctl_wrap(out, look, CTL_PLAIN, error, ctl_columns(look, shard) + 2, 4);
    }
    json_array_foreach(signals, index, signal)
    {
        const char *state = ctl_json_text(signal, "state");
        if (strcmp(state, "ok") == 0)
            continue;
        snprintf(line, sizeof line, "signal %.40s is %.16s: %" PRId64 ", limit %" PRId64, ctl_json_text(signal, "name"),
                 state, ctl_json_int(signal, "value", 0), ctl_json_int(signal, "limit", 0));
        ctl_put(out, look, CTL_WARN, shard);
        zdm_buffer_puts(out, ": ");
        ctl_wrap(out, look, CTL_PLAIN, line, ctl_columns(look, shard) + 2, 4);
    }
}

void ctl_view_agents(struct zdm_buffer *out, const struct ctl_look *look, const json_t *agents)
{
    static const struct ctl_column all[] = {
        {"SHARD", CTL_COLUMN_TEXT},    {"AGENT", CTL_COLUMN_TEXT},   {"SEEN", CTL_COLUMN_TEXT},
        {"DATABASE", CTL_COLUMN_TEXT}, {"RELEASE", CTL_COLUMN_TEXT}, {"TRUST", CTL_COLUMN_RIGHT},
        {"LABELS", CTL_COLUMN_WRAP},
    };
    static const struct ctl_column most[] = {
        {"SHARD", CTL_COLUMN_TEXT},    {"AGENT", CTL_COLUMN_TEXT},  {"SEEN", CTL_COLUMN_TEXT},
        {"DATABASE", CTL_COLUMN_TEXT}, {"LABELS", CTL_COLUMN_WRAP},
    };
    const json_t *list = json_object_get(agents, "agents"), *agent;
    size_t index;
    if (json_array_size(list) == 0) {
        zdm_buffer_puts(out,
                        "no agent has joined yet\n\nnext: zdmctl enroll SHARD, then zdm-agent join with the token\n");
        return;
    }
    bool versions = !is_uniform(list);
    const json_t *first = first_of(list);
    struct ctl_table *table = versions ? ctl_table_new(look, all, sizeof all / sizeof all[0], true)
                                       : ctl_table_new(look, most, sizeof most / sizeof most[0], true);
    json_array_foreach(list, index, agent) put_agent(table, agent, versions);
    ctl_table_put(table, out);
    if (!versions && ctl_json_text(first, "release")[0] != '\0') {
        zdm_buffer_puts(out, "all of release ");
        ctl_put(out, look, CTL_PLAIN, ctl_json_text(first, "release"));
        zdm_buffer_printf(out, ", trust version %" PRId64 "\n", ctl_json_int(first, "trust_version", 0));
    }
    json_array_foreach(list, index, agent) if (!ctl_json_true(agent, "revoked")) put_troubles(out, look, agent);
}

/* ---- Version ---- */

void ctl_view_version(struct zdm_buffer *out, const struct ctl_look *look, const char *client, const json_t *version)
{
    char up[32];
    zdm_buffer_printf(out, "zdmctl release %s\n", client);
    if (version == NULL)
        return;
    ctl_seconds_text(up, sizeof up, ctl_json_int(version, "uptime_s", 0));
    zdm_buffer_puts(out, "coordinator release ");
    ctl_put(out, look, CTL_PLAIN, ctl_json_text(version, "release"));
    zdm_buffer_printf(out, ", up %s, epoch %" PRId64 ", %" PRId64 " events in ", up, ctl_json_int(version, "epoch", 0),
                      ctl_json_int(version, "events", 0));
    ctl_put(out, look, CTL_PLAIN, ctl_json_text(version, "store"));
    zdm_buffer_puts(out, "\n");
}
