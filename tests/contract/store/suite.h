/*
 * suite.h - the contract of struct store as tests: what holds for every store, whatever it is made of.
 *
 * A back-end says how to open a fresh store; the suite does the rest. What only a store on disk can show (crashes, a
 * second opener, no room) stands beside its back-end.
 */
#ifndef TESTS_CONTRACT_STORE_SUITE_H
#define TESTS_CONTRACT_STORE_SUITE_H

#include "coordinator/store/store.h"

struct backend {
    const char *name;
    void (*open)(struct store *out_store); /* an empty one */
};

/* Runs the suite; the number of failures. */
int run_suite(const struct backend *backend);

/* Fills records[n] that continue the chain after head; their bytes stand in a static table. */
enum { SUITE_RECORDS_MAX = 64, SUITE_RECORD_BYTES = 200 };
void make_group(const struct store_head *head, struct store_record *records, size_t n);
/* Asks for the head and appends a group of n. */
enum store_result append_group(const struct store *store, uint64_t epoch, size_t n, struct zdm_error *err);
/* Reads from `from` on and checks every record against make_group's pattern; the number of records. */
size_t read_and_check(const struct store *store, uint64_t from);
struct store_head head_of(const struct store *store);
uint64_t acquire(const struct store *store);

#endif
