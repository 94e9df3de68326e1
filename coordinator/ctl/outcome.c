/*
 * outcome.c - what a command leaves behind: its text on stdout, an error on stderr, an exit code; and the one question
 * that a command may ask.
 */
#include "coordinator/ctl/command.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>
#include <strings.h>
#include <unistd.h>

bool ctl_wants_json(const struct ctl *ctl)
{
    return ctl_given(&ctl->options, CTL_OPT_JSON) ||
           (ctl->settings.output != NULL && strcmp(ctl->settings.output, "json") == 0);
}

bool ctl_is_interactive(void)
{
    return isatty(STDIN_FILENO) == 1 && isatty(STDOUT_FILENO) == 1 && isatty(STDERR_FILENO) == 1;
}

bool ctl_confirm(const struct ctl *ctl, const char *question)
{
    char answer[16];
    if (ctl_given(&ctl->options, CTL_OPT_YES) || !ctl_is_interactive())
        return true;
    fprintf(stderr, "%s [y/N] ", question);
    fflush(stderr);
    if (fgets(answer, sizeof answer, stdin) == NULL)
        return false;
    answer[strcspn(answer, "\r\n")] = '\0';
    return strcasecmp(answer, "y") == 0 || strcasecmp(answer, "yes") == 0;
}

enum zdm_code ctl_consent(const struct ctl *ctl, const char *question, struct zdm_error *err)
{
    if (ctl_given(&ctl->options, CTL_OPT_YES))
        return ZDM_OK;
    if (!ctl_is_interactive()) {
        zdm_error_set(err, ZDM_REFUSED, "%s asks first, and there is no terminal to ask at: nothing was changed",
                      ctl->command->name);
        return zdm_error_hint(err, "Look at what it would do, then say it again with --yes.");
    }
    return ctl_confirm(ctl, question) ? ZDM_OK : zdm_error_set(err, ZDM_CANCELLED, "nothing was changed");
}

enum ctl_exit ctl_exit_of(enum zdm_code code)
{
    switch (code) {
    case ZDM_OK:
        return CTL_EXIT_DONE;
    case ZDM_INVALID:
        return CTL_EXIT_USAGE;
    case ZDM_REFUSED:
    case ZDM_UNSUPPORTED:
    case ZDM_EXISTS:
    case ZDM_LIMIT:
    case ZDM_CONFLICT:
    case ZDM_FENCED:
    case ZDM_DEPOSED:
        return CTL_EXIT_REFUSED;
    case ZDM_UNAVAILABLE:
    case ZDM_CLOSED:
        return CTL_EXIT_UNREACHABLE;
    case ZDM_TIMEOUT:
        return CTL_EXIT_TIMEOUT;
    case ZDM_CANCELLED:
        return CTL_EXIT_INTERRUPTED;
    case ZDM_NOT_FOUND:
    case ZDM_AUTH:
    case ZDM_PROTOCOL:
    case ZDM_CORRUPT:
    case ZDM_IO:
    case ZDM_FULL:
    case ZDM_LOCK:
    case ZDM_UNKNOWN:
    case ZDM_DATABASE:
    case ZDM_NOMEM:
    case ZDM_BUG:
    case ZDM_CODE_COUNT:
        break;
    }
    return CTL_EXIT_FAILED;
}

/* One line of a label and a text, whatever the text holds. */
static void line(struct zdm_buffer *out, const struct ctl_look *look, enum ctl_style style, const char *label,
                 const char *text)
{
    if (text[0] == '\0')
        return;
    ctl_put(out, look, style, label);
    ctl_put(out, look, CTL_PLAIN, text);
    zdm_buffer_puts(out, "\n");
}

void ctl_error_render(struct zdm_buffer *out, const struct ctl_look *look, const struct zdm_error *err)
{
    line(out, look, CTL_BAD, "zdmctl: ", err->message[0] != '\0' ? err->message : zdm_code_text(err->code));
    line(out, look, CTL_DIM, "detail: ", err->detail);
    line(out, look, CTL_BOLD, "hint: ", err->hint);
}

enum zdm_code ctl_write(const struct zdm_buffer *text, struct zdm_error *err)
{
    if (text->failed)
        return zdm_error_set(err, ZDM_NOMEM, "out of memory");
    if ((text->len == 0 || fwrite(text->data, 1, text->len, stdout) == text->len) && fflush(stdout) == 0)
        return ZDM_OK;
    if (errno == EPIPE) /* the reader has seen enough: nothing to report */
        return zdm_error_set(err, ZDM_CANCELLED, "%s", "");
    return zdm_error_system(err, ZDM_IO, errno, "could not write the output");
}

enum zdm_code ctl_write_json(const json_t *json, size_t flags, struct zdm_error *err)
{
    struct zdm_buffer out = ZDM_BUFFER_INIT;
    ZDM_CLEANUP(zdm_freep) char *text = json != NULL ? json_dumps(json, flags) : NULL;
    if (text == NULL)
        return zdm_error_set(err, ZDM_NOMEM, "out of memory");
    zdm_buffer_printf(&out, "%s\n", text);
    enum zdm_code code = ctl_write(&out, err);
    zdm_buffer_fini(&out);
    return code;
}

enum zdm_code ctl_say(const struct ctl *ctl, const struct zdm_buffer *text, struct zdm_error *err)
{
    if (!ctl_wants_json(ctl))
        return ctl_write(text, err);
    if (text->failed)
        return zdm_error_set(err, ZDM_NOMEM, "out of memory");
    fputs(zdm_buffer_text(text), stderr);
    return ZDM_OK;
}
