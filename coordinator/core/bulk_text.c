/*
 * bulk_text.c - the answer to a verb on many shards. See bulk_text.h.
 */
#include "coordinator/core/bulk_text.h"

#include <stdio.h>
#include <string.h>

/* What helps a shard that the verb does not help. */
enum help { NOTHING, RETRY, RETRY_BACK, LOOK, RESUME, RESUME_UNDONE, INCLUDE, FORWARD_LATER, FORWARD_ONLY };

static bool failed_back(const struct coord_shard *s)
{
    return s->failed_back;
}

static bool was_rolled_back(const struct coord_shard *s)
{
    return coord_was_rolled_back(s);
}

static bool is_going_back(const struct coord_shard *s)
{
    return coord_is_going_back(s);
}

enum { ANY = 0 };

/* Why a shard stays as it is; the first row that fits. What somebody has to see to stands above the rest: its help is
 * the one that is told. */
static const struct reason {
    int on, status; /* enum coord_stimulus, enum coord_status; ANY */
    bool (*when)(const struct coord_shard *s);
    const char *one, *many;
    enum help help;
} reasons[] = {
    {COORD_ON_FORWARD, ANY, is_going_back, "has not said yet what is proven there",
     "have not said yet what is proven there", FORWARD_LATER},
    {COORD_ON_FORWARD, ANY, NULL, "is not on its way back", "are not on their way back", FORWARD_ONLY},
    {COORD_ON_INCLUDE, ANY, NULL, "is not excluded", "are not excluded", NOTHING},
    {COORD_ON_PAUSE, COORD_HELD, NULL, "is paused already", "are paused already", NOTHING},
    {COORD_ON_EXCLUDE, COORD_EXCLUDED, NULL, "is excluded already", "are excluded already", INCLUDE},
    {ANY, COORD_FAILED, failed_back, "failed on its way back", "failed on their way back", RETRY_BACK},
    {ANY, COORD_FAILED, NULL, "has failed", "have failed", RETRY},
    {ANY, COORD_UNSURE, NULL, "cannot tell where it stands", "cannot tell where they stand", LOOK},
    {ANY, COORD_HELD, was_rolled_back, "was rolled back", "were rolled back", RESUME_UNDONE},
    {ANY, COORD_HELD, NULL, "is paused", "are paused", RESUME},
    {ANY, COORD_UNDONE, NULL, "was rolled back", "were rolled back", RESUME_UNDONE},
    {ANY, COORD_EXCLUDED, NULL, "is excluded", "are excluded", INCLUDE},
    {ANY, COORD_DONE, NULL, "is done", "are done", NOTHING},
    {COORD_ON_RESUME, ANY, NULL, "is not paused", "are not paused", NOTHING},
    {ANY, COORD_UNDOING, NULL, "is on its way back", "are on their way back", NOTHING},
    {COORD_ON_RETRY, ANY, NULL, "has not failed", "have not failed", NOTHING},
    {ANY, ANY, NULL, "cannot be changed so", "cannot be changed so", NOTHING},
};

enum { N_REASONS = sizeof reasons / sizeof *reasons };
_Static_assert(sizeof reasons / sizeof *reasons <= COORD_BULK_REASONS_MAX, "each reason is counted");

void coord_bulk_leave(struct coord_bulk_count *count, const struct coord_shard *shard, bool same)
{
    size_t i = 0;
    while ((reasons[i].on != ANY && reasons[i].on != (int)count->words->on) ||
           (reasons[i].status != ANY && reasons[i].status != (int)shard->status) ||
           (reasons[i].when != NULL && !reasons[i].when(shard)))
        i++;
    if (count->by_reason[i]++ == 0)
        count->first[i] = shard;
    count->left++;
    count->refused = count->refused || !same;
}

/* "shard-1 has failed, 2 are not paused" */
static void list_reasons(const struct coord_bulk_count *count, char *out, size_t size)
{
    size_t used = 0;
    out[0] = '\0';
    for (size_t i = 0; i < N_REASONS && used < size; i++) {
        const char *comma = used > 0 ? ", " : "";
        if (count->by_reason[i] == 1)
            used += (size_t)snprintf(out + used, size - used, "%s%s %s", comma, count->first[i]->name, reasons[i].one);
        else if (count->by_reason[i] > 1)
            used += (size_t)snprintf(out + used, size - used, "%s%zu %s", comma, count->by_reason[i], reasons[i].many);
    }
}

static void put_help(enum help help, const char *id, const char *shard, struct zdm_error *answer)
{
    switch (help) {
    case RETRY:
        zdm_error_hint(answer,
                       "See why: zdmctl status %s. Then \"zdmctl retry %s --shard %s\", or \"zdmctl rollback\".", id,
                       id, shard);
        break;
    case RETRY_BACK:
        zdm_error_hint(answer,
                       "See why: zdmctl status %s. Then \"zdmctl retry %s --shard %s\" goes on back; with --forward it "
                       "stays and goes forward again.",
                       id, id, shard);
        break;
    case LOOK:
        zdm_error_hint(answer, "See why, with zdmctl status %s; then: zdmctl retry %s --shard %s, or roll it back.", id,
                       id, shard);
        break;
    case RESUME:
        zdm_error_hint(answer, "Let it go on first: zdmctl resume %s --shard %s.", id, shard);
        break;
    case RESUME_UNDONE:
        zdm_error_hint(answer, "To let it go forward again: zdmctl resume %s --shard %s.", id, shard);
        break;
    case INCLUDE:
        zdm_error_hint(answer, "An approver brings it back: zdmctl include %s --shard %s.", id, shard);
        break;
    case FORWARD_LATER:
        zdm_error_hint(answer, "Try again when its agent has spoken: zdmctl status %s.", id);
        break;
    case FORWARD_ONLY:
        zdm_error_hint(answer, "--forward gives up a rollback; what failed is tried again by: zdmctl retry %s.", id);
        break;
    case NOTHING:
        break;
    }
}

/* The help of the first reason that has one. */
static void help_first(const struct coord_bulk_count *count, const struct coord_migration *m, struct zdm_error *answer)
{
    for (size_t i = 0; i < N_REASONS; i++)
        if (count->by_reason[i] > 0 && reasons[i].help != NOTHING) {
            put_help(reasons[i].help, m->id, count->first[i]->name, answer);
            return;
        }
}

static void say_nothing_done(const struct coord_bulk_count *count, const char *list, struct zdm_error *answer)
{
    if (count->refused)
        zdm_error_set(answer, ZDM_REFUSED, "%s: %s", count->words->nothing, list);
    else
        zdm_error_set(answer, ZDM_OK, "%s", list);
}

static void say_done(const struct coord_bulk_count *count, const char *list, const char *also, struct zdm_error *answer)
{
    const struct coord_bulk_words *words = count->words;
    if (count->changed == 0)
        zdm_error_set(answer, ZDM_OK, "%s", also);
    else
        zdm_error_set(answer, ZDM_OK, "%s%s%s%zu shard%s%s", also, also[0] != '\0' ? "; " : "", words->before,
                      count->changed, count->changed == 1 ? "" : "s",
                      count->changed == 1 ? words->after_one : words->after_many);
    if (count->left == 0)
        return;
    if (count->changed == 0)
        zdm_error_detail(answer, "No shard changes by that: %s.", list);
    else if (count->left == 1)
        zdm_error_detail(answer, "One stays as it is: %s.", list);
    else
        zdm_error_detail(answer, "%zu stay as they are: %s.", count->left, list);
}

void coord_bulk_answer(const struct coord_bulk_count *count, const struct coord_migration *m, const char *also,
                       struct zdm_error *answer)
{
    char list[ZDM_DETAIL_MAX - 64];
    list_reasons(count, list, sizeof list);
    if (count->changed == 0 && also[0] == '\0')
        say_nothing_done(count, list, answer);
    else
        say_done(count, list, also, answer);
    if (count->refused)
        help_first(count, m, answer);
}
