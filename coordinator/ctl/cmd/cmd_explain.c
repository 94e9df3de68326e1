/*
 * cmd_explain.c - explain: the page of a rule, as it was in docs/RULES.md when zdmctl was built; or all rules, a line
 * each.
 */
#include "coordinator/ctl/command.h"

#include <jansson.h>
#include <stdlib.h>
#include <string.h>

#include "common/runbook/rules.h"
#include "coordinator/ctl/view/plan_view.h"

/* ---- One page ---- */

static bool is_fence(const char *line)
{
    return strncmp(line, "```", 3) == 0;
}

/* Does the line go on with the paragraph before it? */
static bool goes_on(const char *line)
{
    return line[0] != '\0' && line[0] != '\n' && line[0] != '-' && line[0] != '|' && line[0] != ' ' && !is_fence(line);
}

/* A paragraph: its lines joined, wrapped to the terminal. Returns what is behind it. */
static const char *put_paragraph(struct zdm_buffer *out, const struct ctl_look *look, const char *at)
{
    struct zdm_buffer text = ZDM_BUFFER_INIT;
    bool item = strncmp(at, "- ", 2) == 0;
    do {
        size_t n = strcspn(at, "\n");
        zdm_buffer_printf(&text, "%s%.*s", text.len > 0 ? " " : "", (int)n, at);
        at += n + (at[n] == '\n');
        while (item && *at == ' ')
            at++;
    } while (goes_on(at));
    ctl_wrap(out, look, CTL_PLAIN, zdm_buffer_text(&text), 0, item ? 2 : 0);
    zdm_buffer_fini(&text);
    return at;
}

/* A block of code keeps its lines, without the fence. */
static const char *put_code(struct zdm_buffer *out, const struct ctl_look *look, const char *at)
{
    bool inside = false;
    for (;;) {
        size_t n = strcspn(at, "\n");
        ZDM_CLEANUP(zdm_freep) char *line = zdm_memdup(at, n);
        bool fence = is_fence(at);
        at += n + (at[n] == '\n');
        if (fence && inside)
            return at;
        if (!fence && line != NULL) {
            zdm_buffer_puts(out, "    ");
            ctl_put(out, look, CTL_BUSY, line);
            zdm_buffer_puts(out, "\n");
        }
        inside = true;
        if (*at == '\0')
            return at;
    }
}

static void put_page(struct zdm_buffer *out, const struct ctl_look *look, const char *rule, const char *page)
{
    ctl_put(out, look, CTL_BOLD, rule);
    zdm_buffer_puts(out, "\n\n");
    while (*page != '\0') {
        if (*page == '\n') {
            zdm_buffer_puts(out, "\n");
            page++;
        } else {
            page = is_fence(page) ? put_code(out, look, page) : put_paragraph(out, look, page);
        }
    }
}

/* ---- All of them ---- */

/* The level that a page begins with, "error"; NULL where it has none. *out_rest: what is behind the sentence that says
 * so, "Note; a warning when it has no end." */
static const char *level_of(const char *page, const char **out_rest)
{
    static const char *const levels[] = {"Error", "Warning", "Note"}, *const words[] = {"error", "warning", "note"};
    *out_rest = page;
    for (size_t i = 0; i < sizeof levels / sizeof *levels; i++) {
        size_t n = strlen(levels[i]), end = strcspn(page, ".");
        if (strncmp(page, levels[i], n) != 0 || strchr(".,; ", page[n]) == NULL)
            continue;
        page += end + (page[end] == '.');
        *out_rest = page + strspn(page, " \n");
        return words[i];
    }
    return NULL;
}

/* The first sentence behind the level: "`waive:` names a rule that does not exist" of "Error. `waive:` names …". */
static void first_sentence(struct zdm_buffer *out, const char *page)
{
    (void)level_of(page, &page);
    while (*page != '\0' && !(*page == '.' && (page[1] == ' ' || page[1] == '\n' || page[1] == '\0')) &&
           strncmp(page, "\n\n", 2) != 0) {
        zdm_buffer_append(out, *page == '\n' ? " " : page, 1);
        page++;
    }
}

static void put_list(struct zdm_buffer *out, const struct ctl_look *look)
{
    enum { NAME_MAX_COLUMNS = 30 };
    const struct zdm_rule *rule;
    size_t width = 0;
    for (size_t i = 0; (rule = zdm_rule_at(i)) != NULL; i++)
        width = strlen(rule->name) > width ? strlen(rule->name) : width;
    if (width > NAME_MAX_COLUMNS || width > look->width / 2)
        width = look->width / 2 < NAME_MAX_COLUMNS ? look->width / 2 : NAME_MAX_COLUMNS;
    for (size_t i = 0; (rule = zdm_rule_at(i)) != NULL; i++) {
        struct zdm_buffer text = ZDM_BUFFER_INIT;
        first_sentence(&text, rule->page);
        size_t name = strlen(rule->name);
        ctl_put(out, look, CTL_BOLD, rule->name);
        ctl_repeat(out, ' ', name < width ? width - name + 2 : 2);
        size_t column = (name < width ? width : name) + 2;
        ctl_cell(out, look, CTL_PLAIN, zdm_buffer_text(&text), look->width > column + 8 ? look->width - column : 8,
                 false);
        zdm_buffer_puts(out, "\n");
        zdm_buffer_fini(&text);
    }
    zdm_buffer_puts(out, "\n");
    ctl_wrap(out, look, CTL_DIM, "zdmctl explain RULE says why, shows a wrong example, and what to write.", 0, 0);
}

/* ---- JSON ---- */

static json_t *rule_json(const char *name, const char *page, bool whole)
{
    const char *rest, *level = level_of(page, &rest);
    struct zdm_buffer summary = ZDM_BUFFER_INIT;
    first_sentence(&summary, page);
    json_t *out = json_pack("{s:s, s:s?, s:s}", "rule", name, "level", level, "summary", zdm_buffer_text(&summary));
    if (whole && out != NULL)
        json_object_set_new(out, "text", json_string(page));
    zdm_buffer_fini(&summary);
    return out;
}

static void put_json(struct zdm_buffer *out, const char *name, const char *page)
{
    const struct zdm_rule *rule;
    json_t *json = name != NULL ? rule_json(name, page, true) : json_array();
    for (size_t i = 0; name == NULL && (rule = zdm_rule_at(i)) != NULL; i++)
        json_array_append_new(json, rule_json(rule->name, rule->page, false));
    if (name == NULL)
        json = json_pack("{s:o}", "rules", json);
    ZDM_CLEANUP(zdm_freep) char *text = json != NULL ? json_dumps(json, 0) : NULL;
    zdm_buffer_puts(out, text != NULL ? text : "");
    zdm_buffer_puts(out, "\n");
    out->failed = out->failed || text == NULL;
    json_decref(json);
}

static enum zdm_code no_such_rule(const char *name, struct zdm_error *err)
{
    const char *nearest = zdm_rule_nearest(name);
    zdm_error_set(err, ZDM_NOT_FOUND, "there is no rule \"%s\"", name);
    if (nearest != NULL)
        return zdm_error_hint(err, "Did you mean zdmctl explain %s?", nearest);
    return zdm_error_hint(err, "zdmctl explain lists them all.");
}

enum zdm_code ctl_run_explain(struct ctl *ctl, struct zdm_error *err)
{
    const char *name = ctl_operand(&ctl->options, 0);
    const char *page = name != NULL ? zdm_rule_page(name) : NULL;
    struct zdm_buffer out = ZDM_BUFFER_INIT;
    struct ctl_look look = ctl->look;
    if (look.width > CTL_PLAN_WIDTH_MAX || !look.terminal)
        look.width = CTL_PLAN_WIDTH_MAX;
    if (name != NULL && page == NULL)
        return no_such_rule(name, err);
    if (ctl_wants_json(ctl))
        put_json(&out, name, page);
    else if (page != NULL)
        put_page(&out, &look, name, page);
    else
        put_list(&out, &look);
    enum zdm_code code = ctl_write(&out, err);
    zdm_buffer_fini(&out);
    return code;
}
