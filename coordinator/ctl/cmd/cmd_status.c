/*
 * cmd_status.c - status, once or with --watch.
 *
 * On a terminal the page is drawn in place: the cursor goes up by the rows of the last page and writes over them, so
 * that what stood above stays in the scroll-back and the last page remains when it ends. A page is never taller than
 * the terminal, else "up" would not reach its beginning.
 */
#include "coordinator/ctl/command.h"

#include <stdlib.h>
#include <string.h>

#include "coordinator/ctl/client/client.h"
#include "coordinator/ctl/text/json.h"
#include "coordinator/ctl/view/view_status.h"
#include "coordinator/ctl/cmd/watch.h"

struct screen {
    struct ctl *ctl;
    unsigned rows; /* drawn below which the cursor stands */
    unsigned width, height;
    bool in_place;
    bool lost;
    uint32_t trust_version;
};

static enum zdm_code once(struct ctl *ctl, struct ctl_client *client, struct zdm_error *err)
{
    const struct ctl_query query = {.kind = ZDM_QUERY_STATUS, .migration = ctl_operand(&ctl->options, 0)};
    const struct ctl_status_view view = {.all = ctl_given(&ctl->options, CTL_OPT_ALL),
                                         .trust_version = ctl_client_trust(client)->trust.version};
    ZDM_CLEANUP(ctl_json_free) json_t *status = NULL;
    struct zdm_buffer page = ZDM_BUFFER_INIT;
    enum zdm_code code = ctl_ask(client, &query, &status, err);
    if (code != ZDM_OK)
        return code;
    if (ctl_wants_json(ctl))
        return ctl_write_json(status, JSON_INDENT(2), err);
    ctl_view_status(&page, &ctl->look, status, &view);
    code = ctl_write(&page, err);
    zdm_buffer_fini(&page);
    return code;
}

/* Writes the page over the last one. */
static void draw(struct screen *screen, struct zdm_buffer *out, const char *page)
{
    const struct ctl_look *look = &screen->ctl->look;
    unsigned limit = look->height > 1 ? look->height - 1 : 0, rows = 0;
    if (look->width != screen->width || look->height != screen->height)
        zdm_buffer_puts(out, screen->rows > 0 ? "\033[2J\033[H" : "");
    else if (screen->rows > 0)
        zdm_buffer_printf(out, "\033[%uA\r", screen->rows);
    while (*page != '\0' && (limit == 0 || rows < limit)) {
        size_t n = strcspn(page, "\n");
        zdm_buffer_append(out, page, n);
        zdm_buffer_puts(out, "\033[K\n");
        page += n + (page[n] == '\n' ? 1 : 0);
        rows++;
    }
    zdm_buffer_puts(out, "\033[J");
    screen->rows = rows;
    screen->width = look->width;
    screen->height = look->height;
}

static enum zdm_code show(void *ctx, const json_t *status, bool *out_end, struct zdm_error *err)
{
    struct screen *screen = ctx;
    struct ctl *ctl = screen->ctl;
    struct zdm_buffer page = ZDM_BUFFER_INIT, out = ZDM_BUFFER_INIT;
    struct ctl_status_view view = {.all = ctl_given(&ctl->options, CTL_OPT_ALL),
                                   .trust_version = screen->trust_version};
    bool ended = strcmp(ctl_json_text(status, "mode"), "ended") == 0;
    *out_end = ended;
    screen->lost = false;
    if (ctl_wants_json(ctl))
        return ctl_write_json(status, JSON_COMPACT, err);
    if (screen->in_place) {
        ctl_look_resize(&ctl->look, stdout);
        view.max_rows = ctl->look.height > 2 ? ctl->look.height - 1 : 0;
        view.footer = ended ? NULL : "watching; Ctrl-C ends";
    }
    ctl_view_status(&page, &ctl->look, status, &view);
    if (page.failed)
        out.failed = true;
    else if (screen->in_place)
        draw(screen, &out, zdm_buffer_text(&page));
    else
        zdm_buffer_printf(&out, "%s\n", zdm_buffer_text(&page));
    enum zdm_code code = ctl_write(&out, err);
    zdm_buffer_fini(&page);
    zdm_buffer_fini(&out);
    return code;
}

/* Says below the page that it is old. */
static void say_lost(void *ctx, const struct zdm_error *why)
{
    struct screen *screen = ctx;
    const struct ctl_look *look = &screen->ctl->look;
    struct zdm_buffer out = ZDM_BUFFER_INIT, line = ZDM_BUFFER_INIT;
    screen->lost = true;
    if (!screen->in_place) {
        fprintf(stderr, "zdmctl: connection to the coordinator lost (%s); trying again\n", why->message);
        return;
    }
    zdm_buffer_printf(&line, "no connection to the coordinator, trying again ... (%s)", why->message);
    zdm_buffer_puts(&out, "\033[1A\r");
    ctl_cell(&out, look, CTL_WARN, zdm_buffer_text(&line), look->width - 1, false);
    zdm_buffer_puts(&out, "\033[K\n");
    fputs(zdm_buffer_text(&out), stdout);
    fflush(stdout);
    zdm_buffer_fini(&out);
    zdm_buffer_fini(&line);
}

static enum zdm_code follow(struct ctl *ctl, struct ctl_client *client, struct zdm_error *err)
{
    struct screen screen = {.ctl = ctl,
                            .in_place = ctl->look.terminal && !ctl_wants_json(ctl),
                            .trust_version = ctl_client_trust(client)->trust.version};
    const struct ctl_watch watch = {.migration = ctl_operand(&ctl->options, 0),
                                    .deadline_ms = INT64_MAX,
                                    .status = show,
                                    .lost = say_lost,
                                    .ctx = &screen};
    if (screen.in_place)
        fputs("\033[?25l", stdout); /* hide the cursor */
    enum zdm_code code = ctl_watch_run(client, &watch, err);
    if (screen.in_place)
        fputs("\r\033[K\033[?25h", stdout); /* also takes the ^C away that the terminal shows */
    fflush(stdout);
    return code == ZDM_CANCELLED ? ZDM_OK : code; /* Ctrl-C is how one stops watching */
}

enum zdm_code ctl_run_status(struct ctl *ctl, struct zdm_error *err)
{
    ZDM_CLEANUP(ctl_client_freep) struct ctl_client *client = NULL;
    bool watch = ctl_given(&ctl->options, CTL_OPT_WATCH);
    enum zdm_code code = watch ? ctl_watch_catch_signals(err) : ZDM_OK;
    if (code == ZDM_OK)
        code = ctl_client_new(ctl, &client, err);
    if (code != ZDM_OK)
        return code;
    return watch ? follow(ctl, client, err) : once(ctl, client, err);
}
