/*
 * main.c - the attack driver (tests/attack): `test_attack BIN`.
 *
 * It speaks the raw protocol to a real coordinator and, as a lying coordinator with the real key, to a real agent, and
 * judges by what came of it: the log, the database, and every statement that the agent's role ran. What is random comes
 * from one seed, which is printed.
 */
#include <stdio.h>
#include <stdlib.h>
#include <time.h>

#include "tests/attack/attack.h"

enum { MESSAGES = 50000 };

static uint64_t number_of(const char *name, uint64_t otherwise)
{
    const char *text = getenv(name);
    return text != NULL && text[0] != '\0' ? strtoull(text, NULL, 10) : otherwise;
}

/* A session that was open when its person left. */
static void end_of_fred(struct world *w)
{
    static const char class_name[] = "people: sessions of those whom the trust file names no more";
    struct wire open;
    if (!world_dial(w, &open, &w->fred))
        world_fail("fred cannot dial");
    honest_trust(w, 2);
    count_sent(class_name, 1);
    if (!wire_is_closed(&open, 5000))
        count_accepted(class_name, "fred's session outlives his name");
    wire_close(&open);
    attack_former(w);
}

static void attack_coordinator(struct world *w, unsigned n)
{
    attack_handshakes(w, n / 100);
    attack_frames(w, n / 100);
    attack_trust(w);
    end_of_fred(w);
    attack_trust(w);
    attack_requests(w, n / 4);
    attack_payloads(w);
    attack_reports(w, n / 25);
    attack_joins(w);
    attack_surveys(w);
    honest_check(w, "after the attack");
    world_kill(&w->coordinator_pid);
    world_start_coordinator(w);
    attack_recorded(w, "requests: recorded, after a restart of the coordinator");
    attack_handshakes(w, n / 500);
    honest_check(w, "after a restart");
}

static double seconds(void)
{
    struct timespec now;
    clock_gettime(CLOCK_MONOTONIC, &now);
    return (double)now.tv_sec + (double)now.tv_nsec / 1e9;
}

static void lap(const char *what)
{
    static double last;
    double now = seconds();
    if (last > 0)
        fprintf(stderr, "%-24s %6.1f s\n", what, now - last);
    last = now;
}

int main(int argc, char **argv)
{
    static struct world world;
    uint64_t seed = number_of("ZDM_TEST_SEED", (uint64_t)time(NULL)),
             wanted = number_of("ZDM_ATTACK_MESSAGES", MESSAGES);
    if (argc != 2) {
        fprintf(stderr, "usage: test_attack BIN\n");
        return 2;
    }
    printf("replay: ZDM_TEST_SEED=%lu ZDM_ATTACK_MESSAGES=%lu %s %s\n", seed, wanted, argv[0], argv[1]);
    fflush(stdout);
    lap("");
    world_make(&world, argv[1], seed);
    lap("the world");
    honest_begin(&world);
    lap("honest work");
    attack_coordinator(&world, (unsigned)wanted);
    lap("against the coordinator");
    world_kill(&world.coordinator_pid);
    world_kill(&world.agent_pid);
    world_redirect_agent(&world, world.lying_port);
    attack_agent_handshakes(&world, (unsigned)(wanted / 1000));
    lap("at the agent's door");
    attack_agent(&world, (unsigned)wanted * 2 / 5, 2000);
    lap("against the agent");
    world_kill(&world.agent_pid);
    attack_judge_statements(&world, ZDM_SOURCE_DIR "/tests/attack/templates.txt");
    lap("statements");
    world_end(&world);
    bool good = count_report();
    printf("%lu messages of attackers\n", count_total());
    return good ? 0 : 1;
}
