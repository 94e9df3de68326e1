/*
 * limits.h - every upper bound that more than one part must agree on.
 *
 * A bound that only one file knows stands in that file.
 */
#ifndef ZDM_BASE_LIMITS_H
#define ZDM_BASE_LIMITS_H

enum {
    ZDM_NAME_MAX = 64,           /* bytes of a migration id, shard, label or person's name, without the NUL */
    ZDM_IDENTIFIER_MAX = 64,     /* bytes of one SQL identifier: PostgreSQL 63, MySQL 64 */
    ZDM_TEXT_MAX = 256,          /* bytes of an error or reason kept per shard or sent in a report */
    ZDM_FRAME_MAX = 64 * 1024,   /* bytes of one frame on the wire, length not counted (protocol 5) */
    ZDM_PIECE_MAX = 48 * 1024,   /* bytes of a plan or of rows in one frame (protocol 2) */
    ZDM_PLAN_MAX = 1024 * 1024,  /* bytes of a signed plan (protocol 2) */
    ZDM_NOTES_MAX = 1024 * 1024, /* bytes of a plan's notes: prose, positions, findings */
    ZDM_PHASES_MAX = 64,         /* phases of a plan */
    ZDM_STEPS_MAX = 1024,        /* steps of a plan */
    ZDM_APPROVALS_MAX = 16,      /* approvals in one directive (protocol 3) */
    ZDM_WAVES_MAX = 16,
    ZDM_LABELS_MAX = 32,           /* labels of a shard */
    ZDM_PEOPLE_MAX = 256,          /* people in a trust file */
    ZDM_SHARDS_MAX = 100000,       /* shards of a fleet */
    ZDM_MIGRATIONS_ACTIVE_MAX = 8, /* migrations not ended, at once, in one fleet */
    ZDM_SIGNALS_MAX = 16           /* throttle signals of one agent */
};

#endif
