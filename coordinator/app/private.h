/*
 * private.h - what the files of the driver share: driver.c has its life and its turn, inbox.c what comes in, start.c
 * the log's beginning, input.c and group.c deciding and committing, effects.c what leaves. agents.c, uploads.c,
 * requests.c, trust.c, survey.c and queries.c know who may ask for what; reason.c, advice.c, story.c and json_*.c put
 * it into words.
 */
#ifndef COORDINATOR_APP_PRIVATE_H
#define COORDINATOR_APP_PRIVATE_H

#include <sys/queue.h>

#include "coordinator/app/driver.h"
#include "coordinator/core/core.h"
#include "coordinator/log/event_codec.h"
#include "coordinator/net/hub.h"
#include "common/plan/notes.h"
#include "proto/signed.h"
#include "proto/trust_file.h"

enum {
    INBOX_ITEMS_MAX = 65536,
    INBOX_BYTES_MAX = 64 * 1024 * 1024,
    PEER_FRAMES_MAX = 256, /* of one peer in the inbox */
    PEER_BYTES_MAX = 4 * 1024 * 1024,
    STRANGER_FRAMES_MAX = 4, /* the same before its auth was taken: auth, and the first frames behind it */
    STRANGER_BYTES_MAX = 256 * 1024,
    UPLOADS_PER_PERSON = 4,
    UPLOAD_MAX = 4 * 1024 * 1024,        /* a trust file; plans and notes are smaller, as their decoders know */
    UPLOAD_BYTES_MAX = 64 * 1024 * 1024, /* over all sessions */
    QUERIES_PER_PERSON = 4,              /* answers on their way to one session */
    SURVEYS_MAX = 8,
    SURVEY_PATIENCE_MS = 60000, /* with one shard */
    DIRECTIVES_CACHED = 1024,   /* a power of two */
    NOTES_CACHED = ZDM_MIGRATIONS_ACTIVE_MAX,
    SWEEP_MS = 1000,
    PROBE_MS = 5000, /* between attempts to append while there is no room */
    PUSH_MS = 200,   /* between two pushes of status to one watcher */
    PUSH_AT_LEAST_MS = 10000,
    RETRY_SEND_MS = 20,  /* when a peer reads slowly */
    COMMIT_ATTEMPTS = 3, /* of one group whose outcome was unknown */
    ACQUIRE_ATTEMPTS = 1024,
    TICK_PAUSE_MS = 10, /* between two ticks that nobody asked for */
    FEATURE_LEVEL = 1   /* of the event types that this release writes */
};

/* What the net said, in order. */
enum inbox_kind { INBOX_OPENED, INBOX_FRAME, INBOX_CLOSED };

struct inbox_item {
    STAILQ_ENTRY(inbox_item) link;
    enum inbox_kind kind;
    zdm_conn conn;
    bool counted; /* in its peer's queued_frames and queued_bytes */
    size_t n;
    uint8_t bytes[]; /* the frame, or the address */
};

/* One input of the group at hand. It is kept until the group is over, so that a group can be taken again. */
struct pending {
    zdm_conn conn;
    struct zdm_id agent;    /* of a report, a join or a disconnection */
    struct zdm_frame frame; /* owned */
    bool gone;              /* a disconnection: no frame */
    bool answered;
    bool publishes; /* a trust file that the group adopts */
};

/* A directive as it was signed. */
struct cached_directive {
    uint64_t submitted_seq; /* of the migration; 0: empty */
    uint32_t shard;
    uint64_t epoch, generation;
    struct zdm_envelope envelope;
};

struct cached_notes {
    uint64_t submitted_seq;  /* 0: empty */
    struct zdm_notes *notes; /* NULL when they could not be read */
};

struct upload {
    struct zdm_hash hash;
    uint32_t total, received; /* total 0: free */
    uint8_t *bytes;
};

/* An answer in pieces. */
struct outgoing {
    enum zdm_frame_type type; /* ROWS or PUSH; 0: free */
    uint32_t id;
    char *text;
    size_t n, sent;
};

/* What the driver keeps for a person's session (peer->user). */
struct person {
    struct upload uploads[UPLOADS_PER_PERSON];
    struct outgoing outgoing[QUERIES_PER_PERSON];
    bool watching;
    uint32_t watch_id;
    char watch_migration[ZDM_NAME_MAX + 1];
    uint64_t watch_change; /* driver->change when it was last told */
    int64_t watch_at_ms;   /* not before */
    int64_t watched_at_ms; /* told last */
};

struct coord_driver {
    struct coord_driver_config config;
    char release[24], host[ZDM_NAME_MAX + 1];
    char *urls[COORD_URLS_MAX];
    struct zdm_trust_chain chain; /* the trust file in force at the last commit */
    struct zdm_trust_chain next;  /* trust.c: the newer one, from its decision until it is in chain */
    bool have_next, next_kept;    /* next_kept: the file on disk is next */
    bool recheck, dropped;        /* sessions are to be looked at again; dropped: this coordinator is not named in it */
    struct coord_state *state;
    struct coord_view view;
    struct coord_hub *hub; /* NULL before the start */
    uint64_t epoch;
    struct zdm_id instance;

    /* Time: max(wall clock at the start, the log's last event), then boot time only (protocol 7). */
    int64_t base_wall_ms, base_boot_ms;
    int64_t now_ms; /* of this turn */
    int64_t next_tick_ms, next_sweep_ms;

    STAILQ_HEAD(, inbox_item) inbox;
    size_t inbox_n, inbox_bytes;

    /* The group. */
    struct pending pendings[COORD_GROUP_MAX];
    size_t n_pendings;
    struct coord_output output;
    size_t n_applied;             /* of output.events */
    struct zdm_buffer bytes;      /* encoded events, one after the other */
    struct store_record *records; /* bytes: NULL until the commit; n is known */
    size_t n_records, cap_records;

    bool full; /* no room: only reading, reports and leases go on */
    int64_t probe_at_ms;
    bool ended;
    struct zdm_error end;

    uint64_t change; /* counts what watchers could see */
    size_t upload_bytes, n_persons;
    struct cached_directive directives[DIRECTIVES_CACHED];
    struct cached_notes notes[NOTES_CACHED];
    size_t next_notes;
    struct survey *surveys[SURVEYS_MAX]; /* survey.c; NULL: free */
    uint64_t last_survey;
};

/* driver.c */
void driver_notice(struct coord_driver *d, const struct coord_notice *notice);
/* Ends the driver: nothing is answered any more. */
void driver_end(struct coord_driver *d, const struct zdm_error *err);
enum zdm_code store_code(enum store_result result);

/* inbox.c: takes up to COORD_GROUP_MAX items; what is to be decided or answered goes into the group. */
void inbox_take(struct coord_driver *d);
void inbox_clear(struct coord_driver *d);

/* start.c: the state out of the log, anew. */
enum zdm_code log_load(struct coord_driver *d, struct zdm_error *err) ZDM_CHECKED;
enum zdm_code log_start(struct coord_driver *d, struct zdm_error *err) ZDM_CHECKED;

/* group.c */
struct pending *group_add(struct coord_driver *d, zdm_conn conn);
/* Decides, commits and releases what was added; with the tick. */
void group_run(struct coord_driver *d);
/* Gives a place in the chain to the events that output has and that were not applied yet. */
enum zdm_code group_absorb(struct coord_driver *d, struct zdm_error *err) ZDM_CHECKED;
enum store_result group_append(struct coord_driver *d, struct zdm_error *err);
void group_clear(struct coord_driver *d);

/* effects.c */
void effects_release(struct coord_driver *d);
void effect_release(struct coord_driver *d, const struct coord_effect *effect);
void send_answer(struct coord_driver *d, struct pending *pending, const struct zdm_error *answer);
void send_refusal(struct coord_driver *d, const struct pending *pending, const struct zdm_error *err);
void directives_forget(struct coord_driver *d);

/* trust.c. The chain that judges now: the newer one as soon as the state has adopted it. Borrowed until then. */
const struct zdm_trust_chain *trust_in_force(const struct coord_driver *d);
/* The view's authority is that of the file in force. ZDM_NOMEM. */
enum zdm_code trust_follow(struct coord_driver *d, struct zdm_error *err) ZDM_CHECKED;
/* trust_check.c. Is the uploaded chain the next version? The refusal says what is missing. out is the caller's then. */
enum zdm_code trust_check(const struct coord_driver *d, const void *bytes, size_t n, struct zdm_trust_chain *out,
                          struct zdm_error *err) ZDM_CHECKED;
/* The group is about to adopt this chain, which is moved out of *chain. */
void trust_decided(struct coord_driver *d, struct zdm_trust_chain *chain);
/* Before the commit: the file on disk. */
enum zdm_code trust_keep(struct coord_driver *d, struct zdm_error *err) ZDM_CHECKED;
/* There was no commit: the old file again. */
void trust_give_up(struct coord_driver *d);
/* After the commit: agents are told. Then, when everybody was answered, who may stay. */
void trust_settle(struct coord_driver *d);
void trust_recheck(struct coord_driver *d);
/* Is who signed it an operator now? The signature itself was checked when it came. */
bool trust_is_signed_by_operator(const struct coord_driver *d, const struct zdm_envelope *envelope);

/* agents.c: frames of agents and joiners that change nothing. */
void answer_plan_request(struct coord_driver *d, const struct pending *pending);
void answer_trust_request(struct coord_driver *d, const struct pending *pending);
/* The trust versions above `held`, in order. */
void send_trust(struct coord_driver *d, struct coord_peer *peer, uint32_t held);
void send_welcome(struct coord_driver *d, struct coord_peer *peer);

/* uploads.c */
void upload_take(struct coord_driver *d, struct coord_peer *peer, const struct zdm_piece *piece);
void uploads_free(struct coord_driver *d, struct person *person);

/* requests.c: checks a person's request and, when it may be decided, fills the input. What it needs for the call is in
 * *scratch, freed by request_scratch_fini. */
struct request_scratch {
    struct zdm_request request;
    bool have_request;
    struct zdm_plan *plan;
    struct zdm_envelope plan_envelope;
    const uint8_t *notes; /* an upload's */
    size_t n_notes;
    struct zdm_enrolment enrolment;
    struct zdm_approval approval;
    struct zdm_undo_order undo_order;
    struct zdm_trust_chain chain; /* the uploaded one, verified */
    struct zdm_id payload_signer;
    bool have_approval, have_undo_order, have_chain;
};
/* Moves the plan out of an upload when that is the plan with this hash, signed by an operator; leaves *out_plan alone
 * when the upload is something else. */
enum zdm_code request_try_plan(struct coord_driver *d, const struct upload *upload, const struct zdm_hash *hash,
                               struct zdm_plan **out_plan, struct zdm_envelope *out_envelope,
                               struct zdm_error *err) ZDM_CHECKED;
enum zdm_code request_check(struct coord_driver *d, const struct pending *pending, struct request_scratch *scratch,
                            struct coord_input *out, struct zdm_error *err) ZDM_CHECKED;
void request_scratch_fini(struct request_scratch *scratch);

/* input.c: fills the core's input. False when there is nothing to decide: it was refused already. */
bool input_fill(struct coord_driver *d, struct pending *pending, struct request_scratch *scratch,
                struct coord_input *input);

/* queries.c */
void query_answer(struct coord_driver *d, const struct pending *pending);
void watch_begin(struct coord_driver *d, const struct pending *pending);
/* Sends what waits and what has changed; the next time at which there is something to send. */
int64_t queries_pump(struct coord_driver *d);
void person_free(struct coord_driver *d, struct coord_peer *peer);

/* survey.c: `check`. Begins what the query asks for; rows follow, or the error is the whole answer. */
enum zdm_code survey_begin(struct coord_driver *d, struct coord_peer *peer, const struct zdm_frame *query,
                           struct zdm_error *err) ZDM_CHECKED;
/* A frame SURVEY; its bytes are used at once. */
void survey_take(struct coord_driver *d, struct coord_peer *peer, const struct zdm_frame *frame);
/* The plan, for an agent that was asked about it; NULL. Borrowed. */
const struct zdm_envelope *survey_plan(const struct coord_driver *d, zdm_conn conn, const struct zdm_hash *hash);
void survey_asker_gone(struct coord_driver *d, zdm_conn conn);
void survey_agent_gone(struct coord_driver *d, zdm_conn conn);
/* Asks, gives up, sends; the next time at which there is something to do. */
int64_t surveys_pump(struct coord_driver *d);
void surveys_free(struct coord_driver *d);

/* Bodies of the answers: json_*.c. malloc'd text, NULL with *err set. */
char *json_status(struct coord_driver *d, const char *migration, struct zdm_error *err);
char *json_history(struct coord_driver *d, const char *migration, uint64_t from_seq, uint32_t limit,
                   struct zdm_error *err);
char *json_agents(struct coord_driver *d, struct zdm_error *err);
char *json_version(struct coord_driver *d, struct zdm_error *err);
char *json_fleet(struct coord_driver *d, struct zdm_error *err);
/* What agents say that they accepted: the anchors of an audit. */
char *json_anchors(struct coord_driver *d, struct zdm_error *err);
char *json_plan(struct coord_driver *d, const char *migration, struct zdm_error *err);
/* audit_query.c: stored events as they are, from from_seq on. */
char *json_log(struct coord_driver *d, uint64_t from_seq, uint32_t limit, struct zdm_error *err);

/* The migration that "" means: the only active one, else the one that ended last; NULL with *err set when several are
 * active or the name is unknown; NULL with err->code ZDM_OK when the fleet has none. */
const struct coord_migration *pick_migration(const struct coord_driver *d, const char *id, struct zdm_error *err);
/* The notes of a migration, NULL for none. Borrowed until the next call. */
const struct zdm_notes *notes_of(struct coord_driver *d, const struct coord_migration *migration);
/* "Expand": the phase's title, or its class. */
const char *phase_title(struct coord_driver *d, const struct coord_migration *migration, uint32_t phase);

/* reason.c. The agent that acts for the shard; before there is one, or when it was revoked, the first of its agents
 * that was heard, else any that is enrolled, else the revoked one; zero for none. */
struct zdm_id agent_of_shard(const struct coord_driver *d, const struct coord_shard *shard);
/* Why a shard does not move, "" when it does. */
void shard_reason(const struct coord_driver *d, const struct coord_migration *migration,
                  const struct coord_shard *shard, const struct coord_release *release, char *out, size_t size);
/* True, with the text: nobody is there, there is no database, or something is badly wrong. */
bool shard_trouble(const struct coord_driver *d, const struct coord_migration *migration,
                   const struct coord_shard *shard, char *out, size_t size);
/* The newest order of a shard that shall move or may be let in, which its agent does not take: what it says. NULL: it
 * is not so. The books leave the shard where it was (protocol 9, row 14): it goes on when that order fits, or another.
 */
const struct zdm_migration_report *shard_refusal(const struct coord_driver *d, const struct coord_migration *migration,
                                                 const struct coord_shard *shard);
/* What the shard's agent last said of the migration, NULL for nothing. */
const struct zdm_migration_report *report_of_shard(const struct coord_driver *d,
                                                   const struct coord_migration *migration,
                                                   const struct coord_shard *shard);
/* advice.c. What to type next, and why; command comes out empty when there is nothing to type. */
void next_step(struct coord_driver *d, const struct coord_migration *migration, const struct coord_release *releases,
               char *command, size_t command_size, char *why, size_t why_size);

/* What approvals and purges wait for: advice_approvals.c. */
struct advice {
    char *command;
    size_t command_size;
    char *why;
    size_t why_size;
};
/* The phase that an advance would open needs approvals that are not there yet: says how to give one. */
bool advise_approval(struct coord_driver *d, const struct coord_migration *migration, uint32_t phase,
                     const struct advice *out);
/* A rollback of the shard to that phase would lose what new code wrote, by that step, and would be refused for want of
 * approvals. The second says how to give one. */
bool undo_wants_approval(const struct coord_driver *d, const struct coord_migration *migration,
                         const struct coord_shard *shard, uint32_t to_phase, const struct zdm_step **out_step);
bool advise_undo_approval(const struct coord_driver *d, const struct coord_migration *migration,
                          const struct coord_shard *shard, uint32_t to_phase, const struct advice *out);
/* What rollbacks left hidden, and when it may go. */
bool advise_leftovers(const struct coord_driver *d, const struct coord_migration *migration, const struct advice *out);

/* story.c: an event as a sentence; the person who caused it and the shards concerned. */
struct story {
    char by[ZDM_NAME_MAX + 1];
    const char *shards[16]; /* names, borrowed from the state or the event */
    size_t n_shards;        /* of the first ones that are in shards */
    size_t more_shards;     /* how many more there are */
    struct zdm_buffer text;
};
void story_tell(struct coord_driver *d, const struct coord_event *event, struct story *out);
void story_fini(struct story *story);

#endif
