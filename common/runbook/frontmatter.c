/*
 * frontmatter.c - the YAML between "---" on the first line and the next "---": who, how fast, in which order.
 *
 * Every key has a default, so that a runbook without front matter is a runbook. An unknown key is an error: a setting
 * that is silently not applied is worse than none.
 */
#include "common/runbook/compile.h"

#include <string.h>

#include "common/base/id.h"
#include "common/base/selector.h"
#include "common/runbook/rules.h"

static const int64_t grace_default_ms = INT64_C(72) * 3600 * 1000;

static const char *const keys[] = {"id",           "shards",         "schema",   "waves",     "soak",
                                   "max_parallel", "failure_budget", "throttle", "approvals", "grace",
                                   "waive",        "engines",        NULL};

static void set_id(struct rb *rb, struct rb_yaml *yaml)
{
    struct rb_place at;
    const char *value = rb_yaml_scalar(rb, yaml, "a name, for example users-full-name", &at);
    if (value == NULL)
        return;
    if (zdm_name_is_valid(value))
        rb->front.id = value;
    else
        rb_error(rb, "front-matter-value", at,
                 "Use lower-case letters, digits, dots, dashes and underscores, a letter or digit first, at most 64.",
                 "\"%s\" cannot be the id of a migration", value);
}

static void set_shards(struct rb *rb, struct rb_yaml *yaml)
{
    struct rb_place at;
    struct zdm_error err = ZDM_ERROR_INIT;
    const char *value = rb_yaml_scalar(rb, yaml, "a selector, for example cluster=main,tier!=test", &at);
    if (value == NULL)
        return;
    if (zdm_selector_check(value, &err) == ZDM_OK)
        rb->front.selector = value;
    else
        rb_error(rb, "front-matter-value", at, "Write terms like cluster=main, tier!=test, key or !key, with commas.",
                 "%s", err.message);
}

static void set_schema(struct rb *rb, struct rb_yaml *yaml)
{
    struct rb_place at;
    const char *value = rb_yaml_scalar(rb, yaml, "the name of a schema", &at);
    if (value == NULL)
        return;
    rb->front.schema_at = at;
    if (value[0] != '\0' && strlen(value) < ZDM_IDENTIFIER_MAX)
        rb->front.schema = value;
    else
        rb_error(rb, "front-matter-value", at, "A schema's name has 1 to 63 bytes.", "\"%s\" cannot be a schema",
                 value);
}

enum zdm_engine rb_engine_of(const char *name)
{
    static const struct {
        const char *name;
        enum zdm_engine engine;
    } rows[] = {{"postgresql", ZDM_ENGINE_POSTGRESQL},
                {"postgres", ZDM_ENGINE_POSTGRESQL},
                {"mysql", ZDM_ENGINE_MYSQL},
                {"mariadb", ZDM_ENGINE_MYSQL}};
    for (size_t i = 0; i < sizeof rows / sizeof rows[0]; i++) {
        if (strcmp(rows[i].name, name) == 0)
            return rows[i].engine;
    }
    return ZDM_ENGINE_ANY;
}

bool rb_has_several(const struct rb *rb)
{
    return (rb->front.engines & (rb->front.engines - 1)) != 0;
}

static void add_engine(struct rb *rb, const char *value, struct rb_place at, void *ctx)
{
    enum zdm_engine engine = rb_engine_of(value);
    (void)ctx;
    if (engine == ZDM_ENGINE_ANY)
        rb_error(rb, "front-matter-value", at,
                 "Write postgresql, mysql, or [postgresql, mysql]; mysql means MariaDB, too.", "\"%s\" is no engine",
                 value);
    rb->front.engines |= (unsigned)engine;
}

static void add_wave(struct rb *rb, const char *value, struct rb_place at, void *ctx)
{
    struct zdm_wave *waves = rb->front.waves;
    size_t n = rb->front.n_waves;
    uint32_t percent;
    struct zdm_error err = ZDM_ERROR_INIT;
    (void)ctx;
    if (n == ZDM_WAVES_MAX) {
        rb_error(rb, "waves", at, NULL, "there are more than %d waves", ZDM_WAVES_MAX);
    } else if (rb_percent(value, &percent)) {
        for (size_t i = 0; i < n; i++) {
            if (waves[i].selector == NULL && waves[i].percent >= percent) {
                rb_error(rb, "waves", at, "Each percentage is of the whole: let them grow, up to 100%.",
                         "wave %s is not larger than the one before it", value);
                return;
            }
        }
        waves[rb->front.n_waves++] = (struct zdm_wave){.percent = percent};
    } else if (value[0] != '\0' && value[strspn(value, "0123456789")] != '\0' &&
               zdm_selector_check(value, &err) == ZDM_OK) {
        waves[rb->front.n_waves++] = (struct zdm_wave){.selector = (char *)(uintptr_t)value};
    } else {
        rb_error(rb, "waves", at, "Write percentages and selectors: [tier=canary, 25%, 100%].",
                 "\"%s\" is neither a percentage nor a selector", value);
    }
}

static void set_waves(struct rb *rb, struct rb_yaml *yaml, struct rb_place at)
{
    size_t errors = rb->n_errors;
    rb_yaml_sequence(rb, yaml, "a list, for example [tier=canary, 25%, 100%]", add_wave, NULL);
    size_t n = rb->front.n_waves;
    bool whole = n > 0 && rb->front.waves[n - 1].selector == NULL && rb->front.waves[n - 1].percent == 100;
    if (errors == rb->n_errors && !whole)
        rb_error(rb, "waves", at, "Add 100% at the end.", "the waves do not reach every shard");
}

static bool duration_or_error(struct rb *rb, const char *what, const char *value, struct rb_place at, int64_t *out)
{
    if (rb_duration(value, out))
        return true;
    rb_error(rb, "duration", at, "Write a number with its unit: 50ms, 30s, 10m, 1h, 3d (at most 366d).",
             "%s: \"%s\" is no duration", what, value);
    return false;
}

static void set_duration(struct rb *rb, struct rb_yaml *yaml, const char *key, int64_t *out)
{
    struct rb_place at;
    const char *value = rb_yaml_scalar(rb, yaml, "a duration, for example 1h", &at);
    if (value != NULL)
        (void)duration_or_error(rb, key, value, at, out);
}

static void set_number(struct rb *rb, struct rb_yaml *yaml, const char *key, uint32_t *out)
{
    struct rb_place at;
    const char *value = rb_yaml_scalar(rb, yaml, "a number", &at);
    if (value != NULL && !rb_number(value, ZDM_SHARDS_MAX, out))
        rb_error(rb, "front-matter-value", at, "Write a whole number, 0 or more.", "%s: \"%s\" is no number of shards",
                 key, value);
}

static void set_throttle(struct rb *rb, const char *key, struct rb_place at, const char *value,
                         struct rb_place value_at, void *ctx)
{
    static const char *const names[] = {"batch_target", "duty", "max_replica_lag", "max_stall", NULL};
    struct zdm_throttle *throttle = &rb->front.throttle;
    uint32_t *time = strcmp(key, "batch_target") == 0      ? &throttle->batch_target_ms
                     : strcmp(key, "max_replica_lag") == 0 ? &throttle->max_replica_lag_ms
                     : strcmp(key, "max_stall") == 0       ? &throttle->max_stall_ms
                                                           : NULL;
    int64_t ms;
    (void)ctx;
    if (strcmp(key, "duty") == 0) {
        if (!rb_percent(value, &throttle->duty_percent))
            rb_error(rb, "front-matter-value", value_at, "Write 1% to 100%: the share of time that batches may take.",
                     "duty: \"%s\" is no percentage", value);
    } else if (time != NULL) {
        if (!duration_or_error(rb, key, value, value_at, &ms))
            return;
        if (ms == 0 || ms > UINT32_MAX)
            rb_error(rb, "duration", value_at, "Write 1ms or more.", "%s: \"%s\" is out of range", key, value);
        else
            *time = (uint32_t)ms;
    } else {
        const char *near = rb_nearest(key, names);
        rb_error(rb, "front-matter-key", at,
                 near != NULL ? rb_format(rb, "Did you mean %s?", near)
                              : "The keys are batch_target, duty, max_replica_lag and max_stall.",
                 "throttle has no key \"%s\"", key);
    }
}

static void set_approvals(struct rb *rb, const char *key, struct rb_place at, const char *value,
                          struct rb_place value_at, void *ctx)
{
    static const char *const names[] = {"expand", "migrate", "switch", "contract", "purge", NULL};
    uint32_t n;
    (void)ctx;
    for (int class = ZDM_PHASE_EXPAND; class <= ZDM_PHASE_PURGE; class ++) {
        if (strcmp(key, zdm_phase_class_name((enum zdm_phase_class) class)) != 0)
            continue;
        if (rb_number(value, ZDM_APPROVALS_MAX, &n))
            rb->front.approvals[class] = (int)n;
        else
            rb_error(rb, "front-matter-value", value_at, "Write a number of people, 0 to 16.",
                     "approvals: \"%s\" is no number of approvals", value);
        return;
    }
    const char *near = rb_nearest(key, names);
    rb_error(rb, "front-matter-key", at,
             near != NULL ? rb_format(rb, "Did you mean %s?", near)
                          : "The classes are expand, migrate, switch, contract and purge.",
             "there is no class of phases \"%s\"", key);
}

static void add_waiver(struct rb *rb, const char *key, struct rb_place at, const char *value, struct rb_place value_at,
                       void *ctx)
{
    struct rb_front *front = &rb->front;
    (void)ctx;
    if (zdm_rule_page(key) == NULL) {
        const char *near = zdm_rule_nearest(key);
        rb_error(rb, "waive", at,
                 near != NULL ? rb_format(rb, "Did you mean %s?", near)
                              : "Write the rule as zdmctl check prints it; docs/RULES.md has all of them.",
                 "there is no rule \"%s\"", key);
        return;
    }
    if (value[strspn(value, " \t\n")] == '\0') {
        rb_error(rb, "waive", value_at,
                 "Write why the finding may be so: {published: \"the subscriber has the column\"}.",
                 "%s is waived without a reason", key);
        return;
    }
    struct rb_waiver *grown = rb_alloc(rb, (front->n_waivers + 1) * sizeof *grown);
    if (front->n_waivers > 0)
        memcpy(grown, front->waivers, front->n_waivers * sizeof *grown);
    front->waivers = grown;
    front->waivers[front->n_waivers++] = (struct rb_waiver){key, value, at};
}

static void on_key(struct rb *rb, struct rb_yaml *yaml, const char *key, struct rb_place at, void *ctx)
{
    (void)ctx;
    if (strcmp(key, "id") == 0) {
        set_id(rb, yaml);
    } else if (strcmp(key, "shards") == 0) {
        set_shards(rb, yaml);
    } else if (strcmp(key, "schema") == 0) {
        set_schema(rb, yaml);
    } else if (strcmp(key, "engines") == 0) {
        rb_yaml_sequence(rb, yaml, "a list, for example [postgresql, mysql]", add_engine, NULL);
    } else if (strcmp(key, "waves") == 0) {
        set_waves(rb, yaml, at);
    } else if (strcmp(key, "soak") == 0) {
        set_duration(rb, yaml, key, &rb->front.soak_ms);
    } else if (strcmp(key, "grace") == 0) {
        set_duration(rb, yaml, key, &rb->front.grace_ms);
    } else if (strcmp(key, "max_parallel") == 0) {
        set_number(rb, yaml, key, &rb->front.max_parallel);
    } else if (strcmp(key, "failure_budget") == 0) {
        set_number(rb, yaml, key, &rb->front.failure_budget);
    } else if (strcmp(key, "throttle") == 0) {
        rb_yaml_mapping(rb, yaml, "a mapping, for example {batch_target: 50ms, duty: 20%}", set_throttle, NULL);
    } else if (strcmp(key, "approvals") == 0) {
        rb_yaml_mapping(rb, yaml, "a mapping, for example {contract: 2}", set_approvals, NULL);
    } else if (strcmp(key, "waive") == 0) {
        rb_yaml_mapping(rb, yaml, "a mapping of rules to reasons, for example {published: \"the subscriber knows\"}",
                        add_waiver, NULL);
    } else {
        const char *near = rb_nearest(key, keys);
        rb_error(rb, "front-matter-key", at,
                 near != NULL ? rb_format(rb, "Did you mean %s?", near)
                              : "The keys are id, shards, schema, waves, soak, max_parallel, failure_budget, throttle, "
                                "approvals, grace, waive and engines.",
                 "the front matter has no key \"%s\"", key);
    }
}

/* "Email Verified.md" -> "email-verified" */
static void id_from_file(struct rb *rb)
{
    size_t n = strlen(rb->file);
    if (n > 3 && strcmp(rb->file + n - 3, ".md") == 0)
        n -= 3;
    char *id = rb_copy(rb, rb->file, n);
    size_t m = 0;
    for (size_t i = 0; i < n && m < ZDM_NAME_MAX; i++) {
        char c = id[i] >= 'A' && id[i] <= 'Z' ? (char)(id[i] + 32) : id[i];
        bool plain = (c >= 'a' && c <= 'z') || (c >= '0' && c <= '9');
        if (!plain && c != '.' && c != '_')
            c = '-';
        if (plain || (m > 0 && !(c == '-' && id[m - 1] == '-')))
            id[m++] = c;
    }
    while (m > 0 && id[m - 1] == '-')
        m--;
    id[m] = '\0';
    rb->front.id = id;
    if (!zdm_name_is_valid(id))
        rb_error(rb, "id", (struct rb_place){1, 1}, "Write an id in the front matter: ---, id: users-full-name, ---.",
                 "no id can be made from the file name \"%s\"", rb->file);
}

static bool is_rule(const struct rb *rb, uint32_t line, bool end)
{
    size_t n;
    const char *text = rb_line(rb, line, &n);
    while (n > 0 && (text[n - 1] == ' ' || text[n - 1] == '\t'))
        n--;
    return n == 3 && (memcmp(text, "---", 3) == 0 || (end && memcmp(text, "...", 3) == 0));
}

/* Markdown would take front matter that does not begin in the first column of the first line for a rule, and its
 * settings for prose: waves and approvals would silently not be in force. */
static void refuse_late(struct rb *rb)
{
    uint32_t line = 1;
    size_t n, start = 0;
    const char *text = rb_line(rb, line, &n);
    for (; line <= rb->n_lines; text = rb_line(rb, ++line, &n)) {
        for (start = 0; start < n && (text[start] == ' ' || text[start] == '\t'); start++)
            continue;
        if (start < n)
            break;
    }
    while (n > start && (text[n - 1] == ' ' || text[n - 1] == '\t'))
        n--;
    if (line <= rb->n_lines && n - start == 3 && memcmp(text + start, "---", 3) == 0)
        rb_error(rb, "front-matter-late", rb_place_in_line(rb, line, start),
                 "Remove what is above it and in front of it; where a rule is meant, write ***.",
                 "front matter begins in the first line, without blanks in front: this would not be read");
}

/* A setting that means nothing to the only engine of the runbook. */
static void judge_schema(struct rb *rb)
{
    if (rb->front.schema_at.line != 0 && (rb->front.engines & ZDM_ENGINE_POSTGRESQL) == 0)
        rb_error(rb, "front-matter-value", rb->front.schema_at,
                 "Leave schema out: an agent works in the database that its connection string names.",
                 "MySQL and MariaDB have no schemas inside of a database");
}

void rb_front_read(struct rb *rb)
{
    struct rb_front *front = &rb->front;
    front->schema = "public";
    front->selector = "";
    front->grace_ms = grace_default_ms;
    for (size_t i = 0; i < sizeof front->approvals / sizeof front->approvals[0]; i++)
        front->approvals[i] = -1;
    rb->body = 0;
    if (is_rule(rb, 1, false)) {
        uint32_t line = 2;
        while (line <= rb->n_lines && !is_rule(rb, line, true))
            line++;
        if (line > rb->n_lines) {
            rb_error(rb, "front-matter-open", (struct rb_place){1, 1}, "End it with a line of three dashes.",
                     "the front matter has no end");
            rb->body = rb->n;
        } else {
            size_t start = rb->lines[1], end = rb->lines[line - 1];
            rb->body = line < rb->n_lines ? rb->lines[line] : rb->n;
            (void)rb_yaml_read(rb, rb->text + start, end - start, NULL, 1, on_key, NULL);
        }
    } else {
        refuse_late(rb);
    }
    if (front->id == NULL)
        id_from_file(rb);
    if (front->engines == 0)
        front->engines = ZDM_ENGINE_POSTGRESQL;
    judge_schema(rb);
    if (front->n_waves == 0)
        front->waves[front->n_waves++] = (struct zdm_wave){.percent = 100};
}
