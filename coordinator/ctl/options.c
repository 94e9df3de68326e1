/*
 * options.c - parsing with getopt_long from the table of options. See options.h.
 */
#include "coordinator/ctl/options.h"

#include <errno.h>
#include <getopt.h>
#include <inttypes.h>
#include <stdlib.h>
#include <string.h>

#include "common/base/buffer.h"
#include "common/base/id.h"
#include "common/os/config.h"

static const struct ctl_option rows[CTL_OPT_COUNT] = {
#define X(id, name, letter, argument, most, help) [CTL_OPT_##id] = {name, letter, argument, most, help},
    CTL_OPTIONS(X)
#undef X
};

enum { LONG_BASE = 256 }; /* getopt's value of a long option without a letter: this plus its id */

const struct ctl_option *ctl_option_row(enum ctl_option_id id)
{
    return &rows[id];
}

static bool in_set(uint64_t set, size_t id)
{
    return (set >> id & 1) != 0;
}

/* A command's own option hides the global one of that name: --coordinator of `trust init` is a key, not a URL. */
static bool hidden(uint64_t set, size_t id)
{
    if (!in_set(CTL_GLOBAL, id))
        return false;
    for (size_t other = 0; other < CTL_OPT_COUNT; other++)
        if (other != id && in_set(set, other) && strcmp(rows[other].name, rows[id].name) == 0)
            return true;
    return false;
}

static void build_tables(uint64_t set, bool operands_too, struct option longs[CTL_OPT_COUNT + 1],
                         char shorts[2 * CTL_OPT_COUNT + 3])
{
    size_t n = 0, s = 0;
    shorts[s++] = operands_too ? '-' : '+';
    shorts[s++] = ':';
    for (size_t id = 0; id < CTL_OPT_COUNT; id++) {
        if (!in_set(set, id) || hidden(set, id))
            continue;
        int has = rows[id].argument != NULL ? required_argument : no_argument;
        longs[n++] = (struct option){.name = rows[id].name, .has_arg = has, .val = LONG_BASE + (int)id};
        if (rows[id].letter != 0) {
            shorts[s++] = rows[id].letter;
            if (has == required_argument)
                shorts[s++] = ':';
        }
    }
    longs[n] = (struct option){.name = NULL};
    shorts[s] = '\0';
}

static long find_id(uint64_t set, int got)
{
    if (got >= LONG_BASE)
        return got - LONG_BASE;
    for (size_t id = 0; id < CTL_OPT_COUNT; id++)
        if (in_set(set, id) && !hidden(set, id) && rows[id].letter == got)
            return (long)id;
    return -1;
}

static enum zdm_code append(const char ***items, size_t *n, const char *text, struct zdm_error *err)
{
    const char **grown = realloc(*items, (*n + 1) * sizeof *grown);
    if (grown == NULL)
        return zdm_error_set(err, ZDM_NOMEM, "out of memory");
    grown[(*n)++] = text;
    *items = grown;
    return ZDM_OK;
}

static enum zdm_code take(struct ctl_options *out, size_t id, const char *text, struct zdm_error *err)
{
    struct ctl_value *value = &out->values[id];
    if (rows[id].argument != NULL && value->n >= rows[id].most) {
        if (rows[id].most == 1)
            return zdm_error_set(err, ZDM_INVALID, "option --%s is given twice", rows[id].name);
        return zdm_error_set(err, ZDM_INVALID, "option --%s is given more than %u times", rows[id].name, rows[id].most);
    }
    return append(&value->items, &value->n, text, err);
}

static enum zdm_code refuse(int got, const char *word, uint64_t set, struct zdm_error *err)
{
    long id = got == ':' ? find_id(set, optopt) : -1;
    if (id >= 0)
        zdm_error_set(err, ZDM_INVALID, "option %s needs an argument (%s)", word, rows[id].argument);
    else if (optopt >= LONG_BASE)
        zdm_error_set(err, ZDM_INVALID, "option %s takes no argument", word);
    else
        zdm_error_set(err, ZDM_INVALID, "unknown option %s", word);
    return ZDM_INVALID;
}

enum zdm_code ctl_options_parse(struct ctl_options *out, uint64_t set, int argc, char **argv, bool operands_too,
                                int *out_used, struct zdm_error *err)
{
    struct option longs[CTL_OPT_COUNT + 1];
    char shorts[2 * CTL_OPT_COUNT + 3];
    enum zdm_code code = ZDM_OK;
    int got;
    build_tables(set, operands_too, longs, shorts);
    optind = 0;
    opterr = 0;
    while (code == ZDM_OK) {
        int at = optind < 1 ? 1 : optind;
        got = getopt_long(argc, argv, shorts, longs, NULL);
        if (got == -1)
            break;
        if (got == '?' || got == ':') {
            code = refuse(got, at < argc ? argv[at] : "?", set, err);
        } else if (got == 1) {
            code = append(&out->args, &out->n_args, optarg, err);
        } else {
            long id = find_id(set, got);
            code = id < 0 ? zdm_error_set(err, ZDM_BUG, "option without a row") : take(out, (size_t)id, optarg, err);
        }
    }
    while (code == ZDM_OK && operands_too && optind < argc) /* behind "--" */
        code = append(&out->args, &out->n_args, argv[optind++], err);
    if (code == ZDM_OK)
        *out_used = optind;
    return code;
}

void ctl_options_fini(struct ctl_options *options)
{
    for (size_t id = 0; id < CTL_OPT_COUNT; id++)
        free(options->values[id].items);
    free(options->args);
    *options = (struct ctl_options){.args = NULL};
}

bool ctl_given(const struct ctl_options *options, enum ctl_option_id id)
{
    return options->values[id].n > 0;
}

const char *ctl_option_text(const struct ctl_options *options, enum ctl_option_id id)
{
    const struct ctl_value *value = &options->values[id];
    return value->n > 0 ? value->items[value->n - 1] : NULL;
}

const char *ctl_operand(const struct ctl_options *options, size_t n)
{
    return n < options->n_args ? options->args[n] : NULL;
}

enum zdm_code ctl_option_number(const struct ctl_options *options, enum ctl_option_id id, int64_t min, int64_t max,
                                int64_t *out, struct zdm_error *err)
{
    const char *text = ctl_option_text(options, id);
    char *end = NULL;
    if (text == NULL)
        return ZDM_OK;
    errno = 0;
    long long value = strtoll(text, &end, 10);
    if (errno != 0 || end == text || *end != '\0' || value < min || value > max)
        return zdm_error_set(err, ZDM_INVALID, "--%s must be a number from %" PRId64 " to %" PRId64 ", not \"%s\"",
                             rows[id].name, min, max, text);
    *out = value;
    return ZDM_OK;
}

enum zdm_code ctl_option_duration(const struct ctl_options *options, enum ctl_option_id id, int64_t *out_ms,
                                  struct zdm_error *err)
{
    const char *text = ctl_option_text(options, id);
    if (text == NULL)
        return ZDM_OK;
    if (zdm_duration_parse(text, out_ms, err) != ZDM_OK) {
        zdm_error_set(err, ZDM_INVALID, "--%s must be a time, not \"%s\"", rows[id].name, text);
        return zdm_error_hint(err, "Write a number and a unit: 250ms, 20s, 5m, 1h or 3d.");
    }
    return ZDM_OK;
}

static enum zdm_code copy_names(const struct ctl_value *given, struct zdm_selection *out, struct zdm_error *err)
{
    out->names = calloc(given->n, sizeof *out->names);
    if (out->names == NULL)
        return zdm_error_set(err, ZDM_NOMEM, "out of memory");
    for (size_t i = 0; i < given->n; i++) {
        if (!zdm_name_is_valid(given->items[i])) {
            zdm_error_set(err, ZDM_INVALID, "\"%s\" cannot be the name of a shard", given->items[i]);
            return zdm_error_hint(err, "Names are lower-case letters, digits, dots, dashes and underscores; "
                                       "give --shard once for each.");
        }
        bool twice = false;
        for (size_t k = 0; k < out->n_names; k++)
            twice = twice || strcmp(out->names[k], given->items[i]) == 0;
        if (twice)
            continue;
        out->names[out->n_names] = zdm_strdup(given->items[i]);
        if (out->names[out->n_names] == NULL)
            return zdm_error_set(err, ZDM_NOMEM, "out of memory");
        out->n_names++;
    }
    return ZDM_OK;
}

static enum zdm_code copy_selector(const char *text, struct zdm_selection *out, struct zdm_error *err)
{
    enum zdm_code code = zdm_selector_check(text, err);
    if (code != ZDM_OK)
        return code;
    if (text[0] == '\0') {
        zdm_error_set(err, ZDM_INVALID, "the selector is empty");
        return zdm_error_hint(err, "Write --all-shards when every shard is meant.");
    }
    out->selector = zdm_strdup(text);
    return out->selector != NULL ? ZDM_OK : zdm_error_set(err, ZDM_NOMEM, "out of memory");
}

enum zdm_code ctl_selection_read(const struct ctl_options *options, bool optional, const char *verb,
                                 struct zdm_selection *out, struct zdm_error *err)
{
    const struct ctl_value *names = &options->values[CTL_OPT_SHARD];
    const char *selector = ctl_option_text(options, CTL_OPT_SELECTOR);
    bool all = ctl_given(options, CTL_OPT_ALL_SHARDS);
    struct zdm_selection made = {.all = all};
    enum zdm_code code = ZDM_OK;
    int kinds = (all ? 1 : 0) + (names->n > 0 ? 1 : 0) + (selector != NULL ? 1 : 0);
    if (kinds == 0 && !optional) {
        zdm_error_set(err, ZDM_INVALID, "%s needs to know which shards", verb);
        return zdm_error_hint(err, "Write one of --all-shards, --shard NAME (repeatable) or -l SELECTOR.");
    }
    if (kinds > 1) {
        zdm_error_set(err, ZDM_INVALID, "--all-shards, --shard and -l exclude each other");
        return zdm_error_hint(err, "Write exactly one of --all-shards, --shard NAME (repeatable) or -l SELECTOR.");
    }
    if (kinds == 0)
        made.all = true;
    else if (names->n > 0)
        code = copy_names(names, &made, err);
    else if (selector != NULL)
        code = copy_selector(selector, &made, err);
    if (code == ZDM_OK)
        *out = made;
    else
        zdm_selection_fini(&made);
    return code;
}

enum zdm_code ctl_reason_read(const struct ctl_options *options, const char *needed_by, struct zdm_request *request,
                              struct zdm_error *err)
{
    const char *reason = ctl_option_text(options, CTL_OPT_REASON);
    if (needed_by != NULL && (reason == NULL || reason[0] == '\0')) {
        zdm_error_set(err, ZDM_INVALID, "%s needs a reason", needed_by);
        return zdm_error_hint(err, "Write --reason TEXT: it is signed, and kept in the history.");
    }
    if (reason != NULL && !zdm_copy_text(request->reason, sizeof request->reason, reason))
        return zdm_error_set(err, ZDM_INVALID, "--reason is longer than %d bytes", ZDM_TEXT_MAX);
    return ZDM_OK;
}
