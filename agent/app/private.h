/*
 * private.h - what the files of the driver share. Nobody outside agent/app includes it.
 *
 *   driver.c   what the core decides, what the engine and the coordinator say, the object
 *   claims.c   the rows of the journal, verified
 *   refused.c  plans that did not verify
 *   trust.c    newer trust files, and what waits for them
 *   survey.c   what plans would meet that nobody has submitted yet
 */
#ifndef AGENT_APP_PRIVATE_H
#define AGENT_APP_PRIVATE_H

#include "agent/app/driver.h"
#include "agent/app/identity.h"
#include "agent/net/link.h"
#include "agent/net/plan_fetch.h"

enum {
    REFUSED_MAX = 64,
    ORDERS_WAITING_MAX = 64,
    PLANS_REFUSED_MAX = 16,
    RESULTS_PER_TURN = 64,
    UNREACHABLE_AGAIN_MS = 60000,
    DRIVER_SURVEYS_MAX = 8 /* under way and waiting */
};

enum driver_survey_state { SURVEY_IDLE, SURVEY_FETCHING, SURVEY_LOOKING, SURVEY_SENDING };

/* The first order is the one at hand, unless idle. */
struct driver_survey {
    struct {
        uint64_t id;
        struct zdm_hash plan_hash;
    } orders[DRIVER_SURVEYS_MAX];
    size_t n;
    enum driver_survey_state state;
    int64_t until_ms, pause_until_ms;
    uint64_t op, ops;         /* the engine's operation; how many there were */
    struct zdm_buffer answer; /* SENDING */
    size_t sent;
};

struct agent_driver {
    struct agent_driver_config config;
    struct agent_identity identity;
    char *urls[AGENT_URLS_MAX];
    struct agent_core *core;
    struct agent_link *link;
    struct agent_plan_fetch fetch;
    struct agent_effects effects;
    int64_t core_wake_ms;
    struct {
        struct agent_op op; /* kind, lane, run and number are all that is used */
        struct zdm_error error;
    } refused[REFUSED_MAX]; /* by the engine, to be answered as retryable */
    size_t n_refused;
    struct zdm_report told; /* what the log has heard */
    uint64_t told_view;
    char told_unreachable[ZDM_TEXT_MAX + 1]; /* why, as the log has it; "" while the coordinator is there */
    int64_t told_unreachable_ms;
    char journal_error[ZDM_TEXT_MAX + 1]; /* a row that does not verify */
    struct zdm_hash journal_bad; /* under this plan: until that plan was fetched anew; only with journal_error */
    uint32_t journal_trust;      /* the newest trust version that the shard's journal has seen */

    struct zdm_authority people; /* of the trust file in force, as the core was told */
    bool rereads; /* an operator lost the role: rows may verify no more, the journal is to be read anew */
    struct zdm_hash plans_refused[PLANS_REFUSED_MAX]; /* all zero: none. Fetched again with every order for them */
    size_t next_refused;

    /* The coordinator says that there is a newer trust file: what it orders waits for that file, a moment at most. */
    int64_t trust_due_ms; /* 0: nothing is waited for */
    uint32_t trust_wanted;
    struct zdm_envelope waiting[ORDERS_WAITING_MAX];
    size_t n_waiting;

    struct driver_survey survey;
};

/* driver.c */
void agent_driver_notice(const struct agent_driver *d, enum zdm_log_level level, const char *message, const char *key,
                         const char *value);
void driver_step(struct agent_driver *d, struct agent_input *input);
void driver_take_order(struct agent_driver *d, const struct zdm_envelope *envelope);

/* refused.c: plans that did not verify. Another operator may sign the very same plan anew, or a newer trust file may
 * know who signed it. */
void refused_note(struct agent_driver *d, const struct zdm_hash *hash);
void refused_forget(struct agent_driver *d, const struct zdm_hash *hash);
/* Fetches it again when it was refused; all of them when hash is NULL. */
void refused_fetch(struct agent_driver *d, const struct zdm_hash *hash);

/* claims.c: the directives and plans of a CONNECT result's rows; NULL where a row does not verify. */
struct claims {
    struct zdm_directive *directives;
    const struct zdm_directive **directive_at;
    struct zdm_plan **plan_at;
    struct zdm_id *signers;
    char (*whys)[ZDM_TEXT_MAX + 1];
    const char **why_at; /* NULL where a row verifies */
};
bool claims_make(struct claims *claims, size_t n);
void claims_free(struct claims *claims, size_t n);
void claims_read(struct agent_driver *d, const struct agent_result *result, struct claims *claims);

/* survey.c */
void survey_take_order(struct agent_driver *d, uint64_t id, const struct zdm_hash *plan_hash);
/* Is this the plan that the survey at hand waits for? Then it takes it. */
bool survey_wants(const struct agent_driver *d, const struct zdm_hash *hash);
void survey_take_plan(struct agent_driver *d, const struct zdm_envelope *envelope);
/* True: the result was a survey's, and is taken. */
bool survey_take_result(struct agent_driver *d, struct agent_result *result);
/* When it wants to be called again. */
int64_t survey_turn(struct agent_driver *d);
void survey_session_ended(struct agent_driver *d);

/* trust.c */
/* Tells the core who is who: at the start, and after each newer version. */
void trust_tell(struct agent_driver *d);
void trust_take(struct agent_driver *d, const struct zdm_envelope *envelopes, size_t n);
void trust_ask(struct agent_driver *d);
/* The coordinator holds that version. */
void trust_heard_of(struct agent_driver *d, uint32_t version);
/* Keeps the order for when the newer trust file is here; false: it is to be taken now. */
bool trust_delays(struct agent_driver *d, const struct zdm_envelope *envelope);
/* Lets go of what waits too long; when it wants to be called again. */
int64_t trust_turn(struct agent_driver *d);
/* The session ended: what it ordered is ordered again in the next. */
void trust_session_ended(struct agent_driver *d);
/* May this operation be started under the trust file in force? ZDM_REFUSED: the shard has seen a newer one, or its
 * journal has to be read anew first. */
enum zdm_code trust_allows(const struct agent_driver *d, const struct agent_op *op, struct zdm_error *err);

#endif
