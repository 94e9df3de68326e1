/*
 * app.c - the application that a migration must not disturb: reads and writes one column of `users` at a steady rate.
 *
 * Run with --column name it is the old release of an application, with --column full_name the new one. Statements are
 * scheduled at fixed times and their latency counts from the scheduled time, so that a stall is charged to every
 * statement that had to wait behind it (no coordinated omission). Every client owns the rows whose id is congruent to
 * its own number, remembers what it wrote last and compares it when it reads: a lost or stale write counts as `wrong`.
 *
 * SIGUSR1 closes the current window of latencies and opens the next (before, during, …); SIGTERM ends the run and
 * prints one JSON object on stdout. Threads: one per client, each with a connection of its own; the counters are merged
 * after they ended.
 */
#include <errno.h>
#include <getopt.h>
#include <pthread.h>
#include <signal.h>
#include <stdatomic.h>
#include <stdbool.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

#include "deploy/demo/db.h"

enum {
    CLIENTS_MAX = 16,
    WINDOWS_MAX = 8,
    BUCKETS = 512,     /* of the latency histogram: 16 per power of two, in microseconds */
    WRITTEN_MAX = 4096 /* rows of its own that a client remembers */
};

struct window {
    uint64_t count;
    uint64_t buckets[BUCKETS];
    int64_t longest_us;
};

struct written {
    int64_t id;
    uint64_t version;
};

struct client {
    pthread_t thread;
    unsigned number;
    struct db db;
    uint64_t random;
    struct window windows[WINDOWS_MAX];
    uint64_t reads, writes, inserts, errors, wrong;
    char first_error[DB_ERROR_MAX];
    struct written written[WRITTEN_MAX];
    uint64_t version;
};

struct options {
    const char *dsn;
    const char *column;
    const char *tag; /* goes into every value written: which application it was */
    double rate;     /* statements a second, of all clients together */
    unsigned clients;
    unsigned first;  /* number of the first client: two applications own different rows */
    unsigned owners; /* how many owners there are in all */
};

static struct options options = {.column = "name", .tag = "app", .rate = 100, .clients = 2, .owners = 8};
static atomic_bool stopping;
static atomic_uint window_now;

static int64_t now_us(void)
{
    struct timespec t;
    clock_gettime(CLOCK_MONOTONIC, &t);
    return (int64_t)t.tv_sec * 1000000 + t.tv_nsec / 1000;
}

static uint64_t next_random(struct client *client)
{
    client->random ^= client->random << 13;
    client->random ^= client->random >> 7;
    client->random ^= client->random << 17;
    return client->random;
}

/* 16 buckets per power of two: the width of a bucket is about 6 % of its value. */
static unsigned bucket_of(int64_t us)
{
    uint64_t value = us < 16 ? 16 : (uint64_t)us;
    unsigned power = 63 - (unsigned)__builtin_clzll(value);
    unsigned bucket = (power - 4) * 16 + (unsigned)(value >> (power - 4) & 15);
    return bucket < BUCKETS ? bucket : BUCKETS - 1;
}

static int64_t bucket_us(unsigned bucket)
{
    unsigned power = bucket / 16 + 4;
    return (int64_t)((16u + bucket % 16) * (UINT64_C(1) << (power - 4)));
}

static void count_latency(struct client *client, int64_t us)
{
    struct window *window = &client->windows[atomic_load(&window_now)];
    window->count++;
    window->buckets[bucket_of(us)]++;
    if (us > window->longest_us)
        window->longest_us = us;
}

static void count_error(struct client *client)
{
    client->errors++;
    if (client->first_error[0] == '\0')
        snprintf(client->first_error, sizeof client->first_error, "%s", client->db.error);
}

/* Runs one statement with up to two text parameters; false after an error, which is counted. */
static bool run(struct client *client, const char *sql, const char *a, const char *b, struct db_answer *out)
{
    struct db *db = &client->db;
    if (db->ops->run(db, sql, a, b, out))
        return true;
    count_error(client);
    if (db->ops->is_lost(db))
        (void)db->ops->connect(db);
    return false;
}

static void value_text(char *out, size_t size, const struct client *client, uint64_t version)
{
    snprintf(out, size, "%s-%u-%llu", options.tag, client->number, (unsigned long long)version);
}

/* A row of this client's own: id congruent to its number. */
static int64_t own_id(struct client *client, int64_t rows)
{
    int64_t slots = rows / options.owners;
    return (int64_t)(next_random(client) % (uint64_t)(slots > 0 ? slots : 1)) * options.owners + client->number + 1;
}

static void do_read(struct client *client, int64_t rows)
{
    char sql[160], id_text[24], expected[80];
    int64_t id = own_id(client, rows);
    snprintf(sql, sizeof sql, "select %s from users where id = $1", options.column);
    snprintf(id_text, sizeof id_text, "%lld", (long long)id);
    struct db_answer answer;
    if (!run(client, sql, id_text, NULL, &answer))
        return;
    client->reads++;
    const struct written *written = &client->written[(uint64_t)id % WRITTEN_MAX];
    if (written->id == id && answer.has_row) {
        value_text(expected, sizeof expected, client, written->version);
        if (strcmp(answer.value, expected) != 0)
            client->wrong++;
    }
}

static void do_write(struct client *client, int64_t rows)
{
    char sql[160], id_text[24], value[80];
    int64_t id = own_id(client, rows);
    uint64_t version = ++client->version;
    snprintf(sql, sizeof sql, "update users set %s = $1 where id = $2", options.column);
    snprintf(id_text, sizeof id_text, "%lld", (long long)id);
    value_text(value, sizeof value, client, version);
    struct db_answer answer;
    if (!run(client, sql, value, id_text, &answer))
        return;
    client->writes++;
    if (answer.changed == 1)
        client->written[(uint64_t)id % WRITTEN_MAX] = (struct written){id, version};
}

static void do_insert(struct client *client)
{
    char sql[160], value[80], email[96];
    uint64_t version = ++client->version;
    snprintf(sql, sizeof sql, "insert into users (%s, email) values ($1, $2)", options.column);
    value_text(value, sizeof value, client, version);
    snprintf(email, sizeof email, "%s@example.com", value);
    struct db_answer answer;
    if (run(client, sql, value, email, &answer))
        client->inserts++;
}

static void sleep_until(int64_t us)
{
    struct timespec t = {.tv_sec = us / 1000000, .tv_nsec = us % 1000000 * 1000};
    while (clock_nanosleep(CLOCK_MONOTONIC, TIMER_ABSTIME, &t, NULL) == EINTR)
        ;
}

static int64_t count_rows(struct client *client)
{
    struct db_answer answer;
    bool ok = run(client, "select coalesce(max(id), 0) from users", NULL, NULL, &answer);
    return ok ? strtoll(answer.value, NULL, 10) : 0;
}

static void *client_main(void *argument)
{
    struct client *client = argument;
    int64_t step_us = (int64_t)(1e6 * options.clients / options.rate);
    int64_t rows = count_rows(client);
    int64_t at_us = now_us() + (int64_t)(next_random(client) % (uint64_t)step_us);
    while (!atomic_load(&stopping)) {
        sleep_until(at_us);
        unsigned dice = (unsigned)(next_random(client) % 20);
        if (dice < 14)
            do_read(client, rows);
        else if (dice < 19)
            do_write(client, rows);
        else
            do_insert(client);
        count_latency(client, now_us() - at_us);
        at_us += step_us;
    }
    client->db.ops->close(&client->db);
    return NULL;
}

static int64_t percentile_us(const struct window *window, double share)
{
    uint64_t wanted = (uint64_t)((double)window->count * share), seen = 0;
    for (unsigned i = 0; i < BUCKETS; i++) {
        seen += window->buckets[i];
        if (seen > wanted)
            return bucket_us(i);
    }
    return window->longest_us;
}

static void print_windows(const struct client *clients)
{
    for (unsigned w = 0; w <= atomic_load(&window_now); w++) {
        struct window sum = {0};
        for (unsigned c = 0; c < options.clients; c++) {
            const struct window *window = &clients[c].windows[w];
            sum.count += window->count;
            for (unsigned i = 0; i < BUCKETS; i++)
                sum.buckets[i] += window->buckets[i];
            if (window->longest_us > sum.longest_us)
                sum.longest_us = window->longest_us;
        }
        printf("%s{\"statements\": %llu, \"p50_ms\": %.2f, \"p99_ms\": %.2f, \"longest_ms\": %.1f}", w == 0 ? "" : ", ",
               (unsigned long long)sum.count, (double)percentile_us(&sum, 0.5) / 1000,
               (double)percentile_us(&sum, 0.99) / 1000, (double)sum.longest_us / 1000);
    }
}

static void print_report(const struct client *clients)
{
    uint64_t statements = 0, errors = 0, wrong = 0;
    const char *first_error = "";
    for (unsigned c = 0; c < options.clients; c++) {
        statements += clients[c].reads + clients[c].writes + clients[c].inserts;
        errors += clients[c].errors;
        wrong += clients[c].wrong;
        if (first_error[0] == '\0')
            first_error = clients[c].first_error;
    }
    printf("{\"column\": \"%s\", \"statements\": %llu, \"errors\": %llu, \"wrong\": %llu, \"first_error\": \"%s\", "
           "\"windows\": [",
           options.column, (unsigned long long)statements, (unsigned long long)errors, (unsigned long long)wrong,
           first_error);
    print_windows(clients);
    printf("]}\n");
}

static void usage(FILE *out)
{
    fprintf(
        out,
        "usage: zdm-demo-app --dsn DSN [--column NAME] [--tag TEXT] [--rate PER_SECOND] [--clients N]\n"
        "                    [--first N] [--owners N]\n"
        "Reads and writes users.NAME until SIGTERM, then prints what it saw as JSON. SIGUSR1 starts a new window.\n");
}

static bool parse_options(int argc, char **argv)
{
    static const struct option table[] = {
        {"dsn", required_argument, NULL, 'd'},
        {"column", required_argument, NULL, 'c'},
        {"tag", required_argument, NULL, 't'},
        {"rate", required_argument, NULL, 'r'},
        {"clients", required_argument, NULL, 'n'},
        {"first", required_argument, NULL, 'f'},
        {"owners", required_argument, NULL, 'o'},
        {"help", no_argument, NULL, 'h'},
        {NULL, 0, NULL, 0},
    };
    int option;
    while ((option = getopt_long(argc, argv, "h", table, NULL)) != -1) {
        switch (option) {
        case 'd':
            options.dsn = optarg;
            break;
        case 'c':
            options.column = optarg;
            break;
        case 't':
            options.tag = optarg;
            break;
        case 'r':
            options.rate = strtod(optarg, NULL);
            break;
        case 'n':
            options.clients = (unsigned)strtoul(optarg, NULL, 10);
            break;
        case 'f':
            options.first = (unsigned)strtoul(optarg, NULL, 10);
            break;
        case 'o':
            options.owners = (unsigned)strtoul(optarg, NULL, 10);
            break;
        case 'h':
            usage(stdout);
            exit(0);
        default:
            return false;
        }
    }
    return options.dsn != NULL && options.rate > 0 && options.clients >= 1 && options.clients <= CLIENTS_MAX &&
           options.first + options.clients <= options.owners;
}

/* Signals are taken by this thread alone, so that no statement is ever interrupted by one. */
static void wait_for_end(const sigset_t *signals)
{
    int signal_number;
    while (sigwait(signals, &signal_number) == 0) {
        if (signal_number != SIGUSR1)
            break;
        if (atomic_load(&window_now) < WINDOWS_MAX - 1)
            atomic_fetch_add(&window_now, 1);
    }
    atomic_store(&stopping, true);
}

int main(int argc, char **argv)
{
    if (!parse_options(argc, argv)) {
        usage(stderr);
        return 2;
    }
    sigset_t signals;
    sigemptyset(&signals);
    sigaddset(&signals, SIGTERM);
    sigaddset(&signals, SIGINT);
    sigaddset(&signals, SIGUSR1);
    pthread_sigmask(SIG_BLOCK, &signals, NULL);

    struct client *clients = calloc(options.clients, sizeof *clients);
    if (clients == NULL)
        return 1;
    for (unsigned i = 0; i < options.clients; i++) {
        clients[i].number = options.first + i;
        clients[i].random = UINT64_C(0x9e3779b97f4a7c15) * (clients[i].number + 1);
        db_init(&clients[i].db, options.dsn);
        if (!clients[i].db.ops->connect(&clients[i].db)) {
            fprintf(stderr, "zdm-demo-app: %s\n", clients[i].db.error);
            return 1;
        }
    }
    for (unsigned i = 0; i < options.clients; i++)
        if (pthread_create(&clients[i].thread, NULL, client_main, &clients[i]) != 0)
            return 1;
    wait_for_end(&signals);
    for (unsigned i = 0; i < options.clients; i++)
        pthread_join(clients[i].thread, NULL);
    print_report(clients);
    free(clients);
    return 0;
}
