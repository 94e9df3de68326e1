/*
 * storm.c - see storm.h.
 */
#include "tests/sim/storm.h"

#include <stdlib.h>

#include "common/base/buffer.h"

enum {
    STORM_MS = 90000,
    LONG_STORM_MS = 420000,
    PEACE_MS = 900000,
    FAULT_EVERY_MS = 1500,
    SLOW_MS = 2500,
    SLOW_FOR_MS = 20000
};

void storm_draw(struct world *world, struct storm *storm)
{
    *storm = (struct storm){.crash_percent = (unsigned)world_between(world, 0, 30),
                            .restart_percent = (unsigned)world_between(world, 0, 25),
                            .cut_percent = (unsigned)world_between(world, 0, 30),
                            .partition_percent = (unsigned)world_between(world, 0, 20),
                            .freeze_percent = (unsigned)world_between(world, 0, 10),
                            .delay_percent = (unsigned)world_between(world, 0, 20),
                            .operator_meddles = world_chance(world, 70)};
    storm->database.lock_percent = (unsigned)world_between(world, 0, 60);
    storm->database.retry_percent = (unsigned)world_between(world, 0, 15);
    storm->database.lost_percent = (unsigned)world_between(world, 0, 15);
    storm->database.fail_percent = world_chance(world, 30) ? (unsigned)world_between(world, 1, 8) : 0;
    storm->long_silence = world_chance(world, 8);
    storm->double_percent = world_chance(world, 40) ? (unsigned)world_between(world, 1, 20) : 0;
    storm->full_percent = world_chance(world, 40) ? (unsigned)world_between(world, 1, 10) : 0;
    storm->unknown_percent = world_chance(world, 40) ? (unsigned)world_between(world, 1, 10) : 0;
    storm->broken_percent = world_chance(world, 40) ? (unsigned)world_between(world, 1, 5) : 0;
    storm->database.leftover_percent = (unsigned)world_between(world, 0, 60);
}

/* ---- the operator's mind ---- */

static void ask(struct cluster *cluster, unsigned plan, enum zdm_verb verb, const char *shard)
{
    struct zdm_request request = {.verb = verb};
    const struct cluster_plan *of = &cluster->plans[plan];
    zdm_copy_text(request.migration, sizeof request.migration, of->plan->id);
    if (verb == ZDM_VERB_SUBMIT) {
        request.plan_hash = of->plan->hash;
        cluster->person.uploads[0] = (struct operator_upload){of->bytes.data, of->bytes.len};
        cluster->person.uploads[1] = (struct operator_upload){of->notes.data, of->notes.len};
    } else if (shard == NULL) {
        request.shards.all = true;
        request.throttle.batch_target_ms = (uint32_t)world_between(&cluster->world, 10, 100);
    } else {
        request.shards.names = malloc(sizeof *request.shards.names);
        request.shards.names[0] = zdm_strdup(shard);
        request.shards.n_names = 1;
    }
    operator_ask(&cluster->person, &request);
}

/* What is hidden waits for its purge, which this release leaves to people. */
static uint32_t last_phase(const struct coord_migration *migration)
{
    uint32_t last = zdm_plan_last_phase(migration->plan);
    while (last > 0 && zdm_plan_phase(migration->plan, last)->class == ZDM_PHASE_PURGE)
        last--;
    return last;
}

static bool all_at(const struct coord_migration *migration, uint32_t phase)
{
    for (size_t i = 0; i < migration->n_shards; i++)
        if (migration->shards[i].at < phase)
            return false;
    return true;
}

/* May an advance let the shard further? The phases of all together need all together. */
static bool waits_for_advance(const struct coord_migration *migration, const struct coord_shard *shard)
{
    const struct zdm_phase *next = zdm_plan_phase(migration->plan, shard->at + 1);
    if (next == NULL || shard->at < shard->opened || shard->at >= last_phase(migration))
        return false;
    bool together = next->class != ZDM_PHASE_EXPAND && next->class != ZDM_PHASE_MIGRATE;
    return !together || all_at(migration, shard->at);
}

/* The next thing that a sensible operator does to get a migration on; false when there is nothing to do. */
static bool push_on(struct cluster *cluster, unsigned plan)
{
    const struct coord_migration *migration = cluster_migration(cluster, plan);
    if (migration == NULL) {
        ask(cluster, plan, ZDM_VERB_SUBMIT, NULL);
        return true;
    }
    for (size_t i = 0; i < migration->n_shards; i++) {
        const struct coord_shard *shard = &migration->shards[i];
        bool held = shard->status == COORD_HELD;
        if (held || shard->status == COORD_FAILED || shard->status == COORD_UNSURE) {
            ask(cluster, plan, held ? ZDM_VERB_RESUME : ZDM_VERB_RETRY, shard->name);
            return true;
        }
    }
    if (migration->mode == COORD_HALTED) {
        ask(cluster, plan, ZDM_VERB_RESUME, NULL);
        return true;
    }
    for (size_t i = 0; i < migration->n_shards; i++) {
        if (waits_for_advance(migration, &migration->shards[i])) {
            ask(cluster, plan, ZDM_VERB_ADVANCE, NULL);
            return true;
        }
    }
    return false;
}

static void meddle(struct cluster *cluster, unsigned plan)
{
    static const char *const names[] = {"shard-1", "shard-2", "shard-3"};
    const char *shard = world_chance(&cluster->world, 30) ? NULL : names[world_random(&cluster->world) % 3];
    int64_t what = world_between(&cluster->world, 1, 100);
    if (what <= 55)
        ask(cluster, plan, ZDM_VERB_PAUSE, shard);
    else if (what <= 85)
        ask(cluster, plan, ZDM_VERB_ADVANCE, shard);
    else
        ask(cluster, plan, ZDM_VERB_THROTTLE, NULL);
}

static void operator_acts(struct cluster *cluster, bool meddles)
{
    unsigned plan = (unsigned)(world_random(&cluster->world) % CLUSTER_PLANS);
    if (cluster->person.busy || cluster->coordinator == NULL)
        return;
    if (meddles && cluster_migration(cluster, plan) != NULL && world_chance(&cluster->world, 30))
        meddle(cluster, plan);
    else if (!push_on(cluster, plan))
        push_on(cluster, (plan + 1) % CLUSTER_PLANS);
}

/* ---- the storm ---- */

static void a_partition(struct cluster *cluster)
{
    int node = (int)world_between(&cluster->world, 1, CLUSTER_SHARDS);
    bool in = world_chance(&cluster->world, 70), out = !in || world_chance(&cluster->world, 50);
    world_tell(&cluster->world, "partition: agent %d%s%s", node, in ? " hears nothing" : "",
               out ? " is not heard" : "");
    sim_net_block(cluster->net, CLUSTER_COORDINATOR, node, in);
    sim_net_block(cluster->net, node, CLUSTER_COORDINATOR, out);
    cluster->partitions++;
}

static void crash_somebody(struct cluster *cluster)
{
    if (world_chance(&cluster->world, 35)) {
        cluster_check_log(cluster);
        cluster_crash_coordinator(cluster);
    } else {
        cluster_crash_agent(cluster, (unsigned)(world_random(&cluster->world) % CLUSTER_AGENTS));
    }
}

static void revive_somebody(struct cluster *cluster)
{
    if (world_chance(&cluster->world, 60))
        cluster_start_coordinator(cluster);
    for (unsigned i = 0; i < CLUSTER_SHARDS; i++)
        if (world_chance(&cluster->world, 60))
            cluster_start_agent(cluster, i);
}

/* An agent that was believed to be dead, or is frozen, is replaced: two processes with one key. */
static void a_double(struct cluster *cluster)
{
    unsigned number = (unsigned)(world_random(&cluster->world) % CLUSTER_SHARDS);
    if (world_chance(&cluster->world, 50))
        cluster->world.nodes[cluster->agents[number].node].frozen_until_ms =
            cluster->world.now_ms + world_between(&cluster->world, 100, 20000);
    cluster_start_agent(cluster, number + CLUSTER_SHARDS);
}

static void trouble_disk(struct cluster *cluster, const struct storm *storm)
{
    struct world *world = &cluster->world;
    cluster->disk.unknown_percent = storm->unknown_percent;
    cluster->disk.broken_percent = storm->broken_percent;
    if (world_chance(world, storm->full_percent))
        cluster->disk.full_until_ms = world->now_ms + world_between(world, 1000, 15000);
}

static void something_happens(struct cluster *cluster, const struct storm *storm)
{
    struct world *world = &cluster->world;
    if (world_chance(world, storm->crash_percent))
        crash_somebody(cluster);
    if (world_chance(world, storm->restart_percent))
        cluster_restart_database(cluster, (unsigned)(world_random(world) % CLUSTER_SHARDS),
                                 world_between(world, 0, 8000));
    if (world_chance(world, storm->cut_percent)) {
        sim_net_cut(cluster->net, (int)world_between(world, 0, CLUSTER_SHARDS));
        cluster->cuts++;
    }
    if (world_chance(world, storm->partition_percent))
        a_partition(cluster);
    else if (world_chance(world, 40))
        sim_net_heal(cluster->net);
    if (world_chance(world, storm->delay_percent))
        sim_net_delay(cluster->net, 1, world_between(world, 10, 4000));
    if (world_chance(world, storm->freeze_percent))
        world->nodes[world_between(world, 0, CLUSTER_SHARDS)].frozen_until_ms =
            world->now_ms + world_between(world, 100, 20000);
    if (world_chance(world, storm->double_percent))
        a_double(cluster);
    trouble_disk(cluster, storm);
    revive_somebody(cluster);
}

/* In the middle of its work, which a lock keeps it from ending, the line first becomes slow (a lease counts from the
 * report's sending: slow acknowledgements show it), then silent: only the lease makes it stop. */
static void keep_silent(struct cluster *cluster, int64_t *slow_since_ms)
{
    const struct coord_migration *migration = cluster_migration(cluster, 0);
    const struct agent_journal *journal = sim_db_journal(&cluster->dbs[0], cluster->plans[0].plan->id);
    long shard = migration != NULL ? coord_find_shard(migration, "shard-1") : -1;
    if (shard < 0 || journal == NULL || migration->shards[shard].status != COORD_MOVING)
        return;
    if (*slow_since_ms == 0) {
        *slow_since_ms = cluster->world.now_ms;
        sim_net_delay(cluster->net, 1, SLOW_MS);
    } else if (cluster->world.now_ms - *slow_since_ms > SLOW_FOR_MS) {
        sim_net_block(cluster->net, CLUSTER_COORDINATOR, cluster->agents[0].node, true);
        sim_net_block(cluster->net, cluster->agents[0].node, CLUSTER_COORDINATOR, true);
    }
}

/* An agent whose lease ran out is cut off: no report tells of it, so the simulator looks inside. */
static void watch_the_lease(struct cluster *cluster)
{
    struct zdm_report report;
    const struct agent_driver *driver = cluster->agents[0].driver;
    if (driver == NULL || !agent_core_describe(agent_driver_core(driver), &report))
        return;
    for (size_t i = 0; i < report.n_migrations; i++)
        cluster->saw[SAW_LEASE_EXPIRE] |= report.migrations[i].wait == ZDM_WAIT_LEASE;
    zdm_report_fini(&report);
}

static bool run_until(struct cluster *cluster, int64_t until_ms)
{
    while (cluster_step(cluster, until_ms))
        ;
    return cluster->failure[0] == '\0';
}

bool storm_is_finished(const struct cluster *cluster)
{
    for (unsigned i = 0; i < CLUSTER_PLANS; i++) {
        const struct coord_migration *migration = cluster_migration(cluster, i);
        if (migration == NULL || !all_at(migration, last_phase(migration)))
            return false;
    }
    return true;
}

void storm_rage(struct cluster *cluster, const struct storm *storm)
{
    int64_t end = storm->long_silence ? LONG_STORM_MS : STORM_MS, slow_since_ms = 0;
    for (unsigned i = 0; i < CLUSTER_SHARDS; i++)
        cluster->dbs[i].faults = storm->database;
    if (storm->long_silence)
        cluster->dbs[0].faults = (struct sim_db_faults){.lock_percent = 100};
    while (cluster->world.now_ms < end && run_until(cluster, cluster->world.now_ms + FAULT_EVERY_MS)) {
        operator_acts(cluster, storm->operator_meddles && !storm->long_silence);
        /* A long silence is a quiet one: whoever restarts has no lease to lose. */
        if (storm->long_silence) {
            keep_silent(cluster, &slow_since_ms);
            watch_the_lease(cluster);
        } else {
            something_happens(cluster, storm);
        }
    }
}

static void heal(struct cluster *cluster)
{
    sim_net_heal(cluster->net);
    sim_store_heal(&cluster->disk);
    for (unsigned i = 0; i < CLUSTER_SHARDS; i++) {
        cluster->dbs[i].faults = (struct sim_db_faults){.lock_percent = 0};
        cluster_crash_agent(cluster, i + CLUSTER_SHARDS);
    }
    cluster_start_coordinator(cluster);
    for (unsigned i = 0; i < CLUSTER_SHARDS; i++)
        cluster_start_agent(cluster, i);
}

void storm_end(struct cluster *cluster)
{
    world_tell(&cluster->world, "peace");
    heal(cluster);
    int64_t end = cluster->world.now_ms + PEACE_MS;
    while (!storm_is_finished(cluster) && cluster->world.now_ms < end &&
           run_until(cluster, cluster->world.now_ms + FAULT_EVERY_MS))
        operator_acts(cluster, false);
    if (!storm_is_finished(cluster))
        cluster_fail(cluster, "not finished %d s after the last fault", PEACE_MS / 1000);
}
