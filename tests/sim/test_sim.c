/*
 * test_sim.c - days of a fleet's life in seconds: faults for some minutes, then peace, in which all must finish; or a
 * coordinator that lies.
 *
 * ZDM_SIM_SEEDS  how many seeds (default 1300; with fewer, rare situations need not all be seen)
 * ZDM_SIM_FIRST  the first one (default 1)
 * ZDM_SIM_SEED   only this one, telling its story: how a failing seed is replayed
 */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#include "tests/sim/mind.h"
#include "tests/sim/storm.h"

enum { SEEDS = 1300 };

struct totals {
    uint64_t crashes, cuts, partitions, batches, lost_answers, fenced, locks, retries, leftovers, finished_in_storm;
    uint64_t unknown_kept, unknown_lost, broken, full, echoes;
    uint64_t digest;          /* of all seeds: equal for every build of one commit */
    uint64_t saw[SAW_SIGHTS]; /* seeds in which it was seen */
    /* By action: steps of plans that were submitted, those of them that have a way back, and what was done of them. */
    uint64_t planned[ZDM_ACTION_LAST + 1], returning[ZDM_ACTION_LAST + 1];
    uint64_t done[ZDM_ACTION_LAST + 1], undone[ZDM_ACTION_LAST + 1];
};

static bool is_fill(const struct zdm_step *step)
{
    return step->action == ZDM_ACTION_BACKFILL || step->action == ZDM_ACTION_DELETE;
}

/* Let into the first phase, and taken out of it by a rollback before any agent was told to enter. */
static bool never_began(const struct coord_migration *m, unsigned shard)
{
    for (size_t i = 0; m != NULL && i < m->n_shards; i++)
        if ((unsigned)(m->shards[i].name[6] - '1') == shard)
            return m->shards[i].status == COORD_UNDONE && m->shards[i].undo == 0;
    return false;
}

/* Every row was filled once where the migration stands, and not at all where it was undone. */
static void check_rows(struct cluster *cluster, unsigned shard, unsigned plan)
{
    const struct sim_db *db = &cluster->dbs[shard];
    const struct agent_journal *journal = sim_db_journal(db, cluster->plans[plan].plan->id);
    const struct coord_migration *m = cluster_migration(cluster, plan);
    const struct zdm_plan *of = m != NULL ? m->plan : cluster->plans[plan].plan;
    if (cluster->last[plan][shard].status == COORD_EXCLUDED)
        return;
    if (journal == NULL) {
        /* Restored in the moment in which the migration ended: nobody's any more. */
        if (cluster->restored[shard] || never_began(m, shard))
            return;
        cluster_fail(cluster, "shard-%u has lost the journal of %s", shard + 1, of->id);
        return;
    }
    /* The same, and the backup was from the middle of it. */
    if (cluster->restored[shard] && journal->step > 1 && journal->step <= zdm_plan_n_steps(of))
        return;
    unsigned expected = journal->step > zdm_plan_n_steps(of) ? 1 : 0;
    for (uint32_t o = 1; o <= zdm_plan_n_steps(of); o++)
        for (uint32_t i = 0; is_fill(zdm_plan_step(of, o)) && i < db->rows; i++) {
            const struct sim_schema *schema = &sim_db_truth(db, journal)->schema;
            unsigned fill = sim_schema_fill(of, o), n = schema->counters[fill][i];
            bool own = n == 0 && schema->own[fill][i] != 0; /* never filled, and written by new code */
            if (n != expected && !own)
                cluster_fail(cluster, "shard-%u: row %u of %s was changed %u times", shard + 1, i, of->id, n);
        }
}

static void check_end(struct cluster *cluster)
{
    for (unsigned s = 0; s < CLUSTER_SHARDS; s++)
        for (unsigned plan = 0; plan < CLUSTER_PLANS; plan++)
            check_rows(cluster, s, plan);
    cluster_check_log(cluster);
}

static void add_plan(struct totals *totals, const struct zdm_plan *plan)
{
    for (uint32_t o = 1; o <= zdm_plan_n_steps(plan); o++) {
        const struct zdm_step *step = zdm_plan_step(plan, o);
        totals->planned[step->action]++;
        totals->returning[step->action] += step->inverse != ZDM_INVERSE_NONE && step->inverse != ZDM_INVERSE_IMPOSSIBLE;
    }
}

static void add_work(struct totals *totals, const struct cluster *cluster)
{
    for (unsigned i = 0; i < CLUSTER_PLANS; i++)
        for (unsigned v = 0; v < CLUSTER_VERSIONS; v++)
            if (cluster->plans[i].versions[v].asked)
                add_plan(totals, cluster->plans[i].versions[v].plan);
    for (unsigned i = 0; i < CLUSTER_SHARDS; i++)
        for (size_t action = 0; action <= ZDM_ACTION_LAST; action++) {
            totals->done[action] += cluster->dbs[i].done[action];
            totals->undone[action] += cluster->dbs[i].undone[action];
        }
}

static void add_totals(struct totals *totals, const struct cluster *cluster)
{
    totals->crashes += cluster->crashes;
    totals->cuts += cluster->cuts;
    totals->partitions += cluster->partitions;
    for (unsigned i = 0; i < CLUSTER_SHARDS; i++) {
        const struct sim_db *db = &cluster->dbs[i];
        totals->batches += db->batches;
        totals->lost_answers += db->lost_answers;
        totals->fenced += db->fenced;
        totals->locks += db->locks;
        totals->retries += db->retries;
        totals->leftovers += db->leftovers;
    }
    totals->unknown_kept += cluster->main.disk.unknown_kept;
    totals->unknown_lost += cluster->main.disk.unknown_lost;
    totals->broken += cluster->main.disk.broken;
    totals->full += cluster->main.disk.full;
    for (size_t i = 0; i < CLUSTER_SEATS; i++)
        totals->echoes += cluster->seats[i].echoes;
    for (size_t i = 0; i < SAW_SIGHTS; i++)
        totals->saw[i] += cluster->saw[i];
    add_work(totals, cluster);
}

/* Runs one seed; returns its digest. The failure, if any, is copied out. */
static uint64_t run_seed(uint64_t seed, bool verbose, struct totals *totals, char *out_failure, size_t size)
{
    struct cluster *cluster = malloc(sizeof *cluster);
    struct storm storm;
    assert_non_null(cluster);
    cluster_init(cluster, seed, verbose);
    storm_draw(&cluster->world, &storm);
    storm_rage(cluster, &storm);
    totals->finished_in_storm += mind_is_content(cluster);
    if (cluster->failure[0] == '\0' && storm.lying)
        storm_lie(cluster);
    else if (cluster->failure[0] == '\0')
        storm_end(cluster);
    if (cluster->failure[0] == '\0' && !storm.lying)
        check_end(cluster);
    cluster_see_everything(cluster);
    add_totals(totals, cluster);
    zdm_copy_text(out_failure, size, cluster->failure);
    uint64_t digest = cluster->world.digest;
    totals->digest = (totals->digest ^ digest) * UINT64_C(0x100000001b3);
    cluster_fini(cluster);
    free(cluster);
    return digest;
}

static uint64_t setting(const char *name, uint64_t otherwise)
{
    const char *text = getenv(name);
    return text != NULL && text[0] != '\0' ? strtoull(text, NULL, 10) : otherwise;
}

/* Each kind of action that a plan has was done somewhere, and went back where it can. */
static void check_work(const struct totals *totals)
{
    for (size_t i = 0; i <= ZDM_ACTION_LAST; i++) {
        if (totals->planned[i] > 0 && totals->done[i] == 0)
            fail_msg("%s was never done", zdm_action_name((enum zdm_action)i));
        if (totals->returning[i] > 0 && totals->undone[i] == 0)
            fail_msg("%s was never undone", zdm_action_name((enum zdm_action)i));
    }
}

/* A run in which nothing went wrong proves nothing. */
static void check_totals(const struct totals *totals, uint64_t n)
{
    check_work(totals);
    for (int i = 0; i < SAW_SIGHTS; i++)
        if (totals->saw[i] == 0)
            fail_msg("%s never happened", cluster_sight_name((enum cluster_sight)i));
    assert_true(totals->crashes > n && totals->cuts > n && totals->partitions > n / 4);
    assert_true(totals->lost_answers > n && totals->locks > n && totals->leftovers > 0 && totals->fenced > 0);
    assert_true(totals->unknown_kept > 0 && totals->unknown_lost > 0 && totals->broken > 0 && totals->full > 0);
    assert_true(totals->echoes > n);
}

static void every_seed_keeps_the_invariants_and_finishes_in_peace(void **state)
{
    struct totals totals = {0};
    char failure[256];
    uint64_t only = setting("ZDM_SIM_SEED", 0), first = setting("ZDM_SIM_FIRST", 1);
    uint64_t n = setting("ZDM_SIM_SEEDS", SEEDS), failed = 0;
    (void)state;
    if (only != 0)
        first = only, n = 1;
    for (uint64_t seed = first; seed < first + n; seed++) {
        run_seed(seed, only != 0, &totals, failure, sizeof failure);
        if (failure[0] == '\0')
            continue;
        failed++;
        print_error("seed %llu: %s (replay with ZDM_SIM_SEED=%llu)\n", (unsigned long long)seed, failure,
                    (unsigned long long)seed);
    }
    print_message("%llu seeds: %llu crashes, %llu cuts, %llu partitions, %llu batches, %llu answers lost, %llu fenced, "
                  "%llu locks missed, %llu retries, %llu invalid indexes, %llu finished in the storm\n",
                  (unsigned long long)n, (unsigned long long)totals.crashes, (unsigned long long)totals.cuts,
                  (unsigned long long)totals.partitions, (unsigned long long)totals.batches,
                  (unsigned long long)totals.lost_answers, (unsigned long long)totals.fenced,
                  (unsigned long long)totals.locks, (unsigned long long)totals.retries,
                  (unsigned long long)totals.leftovers, (unsigned long long)totals.finished_in_storm);
    print_message("disk: %llu commits unknown and kept, %llu unknown and lost, %llu broken, %llu without room; %llu "
                  "requests twice; seeds with",
                  (unsigned long long)totals.unknown_kept, (unsigned long long)totals.unknown_lost,
                  (unsigned long long)totals.broken, (unsigned long long)totals.full,
                  (unsigned long long)totals.echoes);
    for (int i = 0; i < SAW_SIGHTS; i++)
        print_message("%s %s: %llu", i > 0 ? "," : "", cluster_sight_name((enum cluster_sight)i),
                      (unsigned long long)totals.saw[i]);
    print_message("; done and undone");
    for (size_t i = 0; i <= ZDM_ACTION_LAST; i++)
        if (totals.planned[i] > 0)
            print_message(" %s %llu/%llu", zdm_action_name((enum zdm_action)i), (unsigned long long)totals.done[i],
                          (unsigned long long)totals.undone[i]);
    print_message("; digest %016llx\n", (unsigned long long)totals.digest);
    assert_int_equal(failed, 0);
    if (n < SEEDS)
        return;
    check_totals(&totals, n);
}

static void a_seed_replays_identically(void **state)
{
    (void)state;
    for (uint64_t seed = 1; seed <= 5; seed++) {
        struct totals totals = {0};
        char failure[256];
        uint64_t once = run_seed(seed, false, &totals, failure, sizeof failure);
        uint64_t twice = run_seed(seed, false, &totals, failure, sizeof failure);
        assert_true(once == twice);
        assert_true(run_seed(seed + 1000, false, &totals, failure, sizeof failure) != once);
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(every_seed_keeps_the_invariants_and_finishes_in_peace),
        cmocka_unit_test(a_seed_replays_identically),
    };
    return cmocka_run_group_tests_name("simulation", tests, NULL, NULL);
}
