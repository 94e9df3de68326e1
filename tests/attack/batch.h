/*
 * batch.h - many requests behind each other in one session, and what came of them.
 */
#ifndef TESTS_ATTACK_BATCH_H
#define TESTS_ATTACK_BATCH_H

#include "tests/attack/attack.h"

struct batch {
    struct world *world;
    struct wire wire;
    uint64_t position; /* of the log, when the batch began */
    unsigned unsettled;
    const char *last_class;
};

/* A new session of that person; what was sent in the one before is settled first. Zero-initialised but for `world`,
 * a batch is fine to open. */
void batch_open(struct batch *b, const struct zdm_signing_key *key);
/* Sends, and settles now and then. */
void batch_send(struct batch *b, const char *class_name, const struct zdm_envelope *envelope);
/* Waits until all was looked at; whatever was answered with success, or made the log longer, was accepted. One that
 * stands alone may have ended the session instead: then it is to be opened again. */
void batch_settle(struct batch *b);
void batch_close(struct batch *b);

#endif
