/*
 * shard_state.c - what one shard is doing, in one word. See shard_state.h.
 */
#include "coordinator/ctl/model/shard_state.h"

#include <inttypes.h>
#include <stdio.h>
#include <string.h>

#include "coordinator/ctl/text/json.h"

static const struct {
    const char *text;
    enum ctl_style style;
} words[CTL_SHARD_WORDS] = {
    [CTL_SHARD_FAILED] = {"FAILED", CTL_BAD},
    [CTL_SHARD_UNSURE] = {"UNSURE", CTL_BAD},
    [CTL_SHARD_NO_DATABASE] = {"no db", CTL_BAD},
    [CTL_SHARD_AWAY] = {"away", CTL_BAD},
    [CTL_SHARD_BLOCKED] = {"blocked", CTL_WARN},
    [CTL_SHARD_PARKED] = {"parked", CTL_WARN},
    [CTL_SHARD_RETRYING] = {"retrying", CTL_WARN},
    [CTL_SHARD_THROTTLED] = {"throttled", CTL_WARN},
    [CTL_SHARD_UNDOING] = {"undoing", CTL_BUSY},
    [CTL_SHARD_WORKING] = {"working", CTL_BUSY},
    [CTL_SHARD_PAUSING] = {"pausing", CTL_WARN},
    [CTL_SHARD_PAUSED] = {"paused", CTL_WARN},
    [CTL_SHARD_ROLLED_BACK] = {"rolled back", CTL_WARN},
    [CTL_SHARD_WAITING] = {"waiting", CTL_DIM},
    [CTL_SHARD_FINISHED] = {"finished", CTL_GOOD},
    [CTL_SHARD_EXCLUDED] = {"excluded", CTL_DIM},
    [CTL_SHARD_UNDONE] = {"undone", CTL_GOOD},
    [CTL_SHARD_DONE] = {"done", CTL_GOOD},
};

const char *ctl_shard_word_text(enum ctl_shard_word word)
{
    return word < CTL_SHARD_WORDS ? words[word].text : "?";
}

bool ctl_shard_reached(const json_t *shard, int64_t phase)
{
    const json_t *desired = ctl_json_object(shard, "desired");
    const json_t *observed = ctl_json_object(shard, "observed");
    int64_t goal = ctl_json_int(desired, "phase", 0);
    if (ctl_json_is(shard, "status", "done"))
        return true;
    if (ctl_json_is(shard, "status", "undone") || ctl_json_is(shard, "status", "undoing") ||
        ctl_json_is(shard, "status", "unsure"))
        return phase == 0;
    if (goal > phase) /* a goal is at most one phase ahead of what is proven */
        return true;
    if (ctl_json_is(shard, "status", "ready"))
        return goal >= phase;
    if (ctl_json_is(shard, "status", "held") && goal == phase)
        return ctl_json_int(observed, "phase", -1) >= phase;
    return false;
}

bool ctl_shard_is_rolled_back(const json_t *shard)
{
    return ctl_json_is(shard, "status", "undone") ||
           (ctl_json_is(shard, "status", "held") && ctl_json_true(shard, "rolled_back"));
}

bool ctl_shard_is_paused(const json_t *shard)
{
    static const char *const still[] = {"paused", "resting", "stopped", "unsure", "observing"};
    const json_t *observed = ctl_json_object(shard, "observed");
    if (!ctl_json_is(shard, "status", "held"))
        return false;
    for (size_t i = 0; i < sizeof still / sizeof still[0]; i++)
        if (ctl_json_is(observed, "state", still[i]))
            return true;
    return false;
}

static enum ctl_shard_word word_of_wait(const json_t *observed)
{
    if (ctl_json_is(observed, "wait", "throttle"))
        return CTL_SHARD_THROTTLED;
    if (ctl_json_is(observed, "wait", "lock"))
        return CTL_SHARD_BLOCKED;
    if (ctl_json_is(observed, "wait", "lease"))
        return CTL_SHARD_PARKED;
    if (ctl_json_is(observed, "wait", "approvals") || ctl_json_is(observed, "wait", "grace"))
        return CTL_SHARD_WAITING;
    return ctl_json_is(observed, "wait", "backoff") ? CTL_SHARD_RETRYING : CTL_SHARD_WORKING;
}

/* Nobody is there, or nothing to work on; `otherwise` where neither is so. */
static enum ctl_shard_word word_of_trouble(const struct ctl_shard *s, const json_t *shard,
                                           enum ctl_shard_word otherwise)
{
    const json_t *observed = ctl_json_object(shard, "observed");
    const json_t *agent = ctl_json_object(shard, "agent");
    if (agent == NULL || !ctl_json_true(agent, "connected") || s->heard_ms > CTL_HEARD_LATE_MS)
        return CTL_SHARD_AWAY;
    if (ctl_json_is(observed, "state", "blind") || json_is_false(json_object_get(observed, "connected")))
        return CTL_SHARD_NO_DATABASE;
    return otherwise;
}

/* What a shard that was told to move does, judged by what its agent said last. */
static enum ctl_shard_word word_of_moving(const struct ctl_shard *s, const json_t *shard)
{
    const json_t *observed = ctl_json_object(shard, "observed");
    enum ctl_shard_word word = word_of_trouble(s, shard, CTL_SHARD_WORKING);
    if (word != CTL_SHARD_WORKING || observed == NULL)
        return word;
    if (ctl_json_is(observed, "state", "waiting"))
        return word_of_wait(observed);
    return ctl_json_is(observed, "state", "asking") ? CTL_SHARD_PARKED : CTL_SHARD_WORKING;
}

static enum ctl_shard_word judge(const struct ctl_shard *s, const json_t *shard, int64_t phase)
{
    static const struct {
        const char *status;
        enum ctl_shard_word word;
    } final[] = {
        {"failed", CTL_SHARD_FAILED}, {"unsure", CTL_SHARD_UNSURE}, {"excluded", CTL_SHARD_EXCLUDED},
        {"undone", CTL_SHARD_UNDONE}, {"done", CTL_SHARD_DONE},     {"undoing", CTL_SHARD_UNDOING},
    };
    /* The books leave it where it was: it goes on once its agent takes an order. */
    if (ctl_json_true(shard, "refused") && word_of_trouble(s, shard, CTL_SHARD_UNSURE) == CTL_SHARD_UNSURE)
        return CTL_SHARD_UNSURE;
    for (size_t i = 0; i < sizeof final / sizeof final[0]; i++)
        if (ctl_json_is(shard, "status", final[i].status))
            return final[i].word;
    if (ctl_shard_is_rolled_back(shard))
        return CTL_SHARD_ROLLED_BACK;
    if (ctl_json_is(shard, "status", "held"))
        return ctl_shard_is_paused(shard) ? CTL_SHARD_PAUSED : CTL_SHARD_PAUSING;
    if (ctl_json_is(shard, "status", "moving"))
        return word_of_moving(s, shard);
    if (phase > 0 && ctl_shard_reached(shard, phase))
        return CTL_SHARD_FINISHED;
    return word_of_trouble(s, shard, CTL_SHARD_WAITING);
}

static void add_reason(struct ctl_shard *s, const char *before, const char *text)
{
    size_t used = strlen(s->reason);
    if (text[0] == '\0')
        return;
    int n = snprintf(s->reason + used, sizeof s->reason - used, "%s%s%s", used > 0 ? "; " : "", before, text);
    if (n < 0)
        s->reason[used] = '\0';
}

/* What the fields of the status say where the coordinator gave no reason. */
static void guess(struct ctl_shard *s, const json_t *observed)
{
    if (s->word == CTL_SHARD_BLOCKED)
        add_reason(s, "waits for a lock held by ", ctl_json_text(observed, "blocked_by"));
    else if (s->word == CTL_SHARD_THROTTLED)
        add_reason(s, "held back by ", ctl_json_text(observed, "throttled_by"));
    else if (s->word == CTL_SHARD_WAITING)
        add_reason(s, "", ctl_json_text(observed, "blocked_by"));
    else if (s->word == CTL_SHARD_PARKED)
        add_reason(s, "", "its agent waits for the coordinator to confirm the order");
    else if (s->word == CTL_SHARD_AWAY)
        add_reason(s, "", "its agent is not connected");
    else
        add_reason(s, "", ctl_json_text(observed, "error"));
    if (s->word == CTL_SHARD_NO_DATABASE && s->reason[0] == '\0')
        add_reason(s, "", "its agent cannot reach the database");
}

static void explain(struct ctl_shard *s, const json_t *shard)
{
    const json_t *agent = ctl_json_object(shard, "agent");
    const char *reason = ctl_json_text(shard, "reason");
    char since[32], text[64];
    bool final = s->word == CTL_SHARD_DONE || s->word == CTL_SHARD_UNDONE;
    if (s->word == CTL_SHARD_UNDONE && strstr(reason, ctl_json_text(shard, "remark")) == NULL)
        add_reason(s, "", ctl_json_text(shard, "remark"));
    if (final && strcmp(reason, "rolled back to the start") != 0) /* that is what undone means */
        add_reason(s, "", reason);
    if (final)
        return;
    if (strcmp(reason, ctl_shard_word_text(s->word)) != 0) /* the word itself is no reason */
        add_reason(s, "", reason);
    if (s->word == CTL_SHARD_ROLLED_BACK && strstr(reason, ctl_json_text(shard, "remark")) == NULL)
        add_reason(s, "", ctl_json_text(shard, "remark"));
    const char *seen = ctl_json_text(ctl_json_object(shard, "observed"), "remark");
    if (s->reason[0] == '\0' && (s->word != CTL_SHARD_UNDOING || seen[0] == '\0'))
        guess(s, ctl_json_object(shard, "observed"));
    if (strstr(s->reason, seen) == NULL)
        add_reason(s, "", seen);
    if (s->word == CTL_SHARD_PAUSING)
        add_reason(s, "", "its agent has not said that it stopped");
    if (s->heard_ms > CTL_HEARD_LATE_MS && ctl_json_true(agent, "connected")) {
        ctl_seconds_text(since, sizeof since, s->heard_ms / 1000);
        snprintf(text, sizeof text, "last heard of %s ago", since);
        add_reason(s, "", text);
    }
}

/* Of the failure that the books have, else of what its agent meets and tries again. */
static const char *hint_of(const struct ctl_shard *s, const json_t *shard)
{
    const char *kept = ctl_json_text(shard, "hint");
    bool tries = s->word == CTL_SHARD_RETRYING || s->word == CTL_SHARD_PARKED || s->word == CTL_SHARD_UNSURE;
    return kept[0] == '\0' && tries ? ctl_json_text(ctl_json_object(shard, "observed"), "hint") : kept;
}

static void read_progress(struct ctl_shard *s, const json_t *observed)
{
    s->rows_done = (uint64_t)ctl_json_int(observed, "rows_done", 0);
    s->rows_total = (uint64_t)ctl_json_int(observed, "rows_total", 0);
    if (s->word == CTL_SHARD_WORKING || s->word == CTL_SHARD_THROTTLED || s->word == CTL_SHARD_UNDOING) {
        s->rows_per_s = (uint64_t)ctl_json_int(observed, "rows_per_s", 0); /* who stands still has no speed */
        s->eta_s = ctl_json_int(observed, "eta_s", -1);
    }
    if (s->rows_total > 0) {
        uint64_t permille = s->rows_done >= s->rows_total ? 1000 : s->rows_done * 1000 / s->rows_total;
        s->permille = (int)permille;
    }
}

static void read_step(struct ctl_shard *s, const json_t *observed)
{
    const char *step = ctl_json_text(observed, "step");
    const char *kind = ctl_json_text(observed, "step_kind");
    if (step[0] != '\0')
        snprintf(s->step, sizeof s->step, "%.24s%s%.20s", step, kind[0] != '\0' ? " " : "", kind);
}

void ctl_shard_read(struct ctl_shard *out, const json_t *shard, int64_t phase)
{
    const json_t *observed = ctl_json_object(shard, "observed");
    struct ctl_shard s = {.name = ctl_json_text(shard, "shard"), .permille = -1, .eta_s = -1};
    s.heard_ms = ctl_json_int(observed, "heard_ms", ctl_json_int(ctl_json_object(shard, "agent"), "heard_ms", -1));
    s.word = judge(&s, shard, phase);
    s.style = words[s.word].style;
    if (s.word <= CTL_SHARD_PAUSED) {
        read_step(&s, observed);
        read_progress(&s, observed);
    } else if (s.word == CTL_SHARD_FINISHED || s.word == CTL_SHARD_DONE) {
        s.permille = 1000;
    } else if (s.word == CTL_SHARD_WAITING) {
        s.permille = 0;
    }
    explain(&s, shard);
    s.hint = hint_of(&s, shard);
    *out = s;
}
