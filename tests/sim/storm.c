/*
 * storm.c - see storm.h.
 */
#include "tests/sim/storm.h"

#include <stdlib.h>

#include "common/base/buffer.h"
#include "coordinator/core/core.h"
#include "tests/sim/liar.h"
#include "tests/sim/mind_private.h"

enum {
    STORM_MS = 90000,
    LONG_STORM_MS = 420000,
    PEACE_MS = 1500000,
    LYING_MS = 150000,
    FAULT_EVERY_MS = 1500,
    SLOW_MS = 2500,
    SLOW_FOR_MS = 20000
};

void storm_draw(struct world *world, struct storm *storm)
{
    *storm = (struct storm){.crash_percent = (unsigned)world_between(world, 0, 30)};
    storm->restart_percent = (unsigned)world_between(world, 0, 25);
    storm->cut_percent = (unsigned)world_between(world, 0, 30);
    storm->partition_percent = (unsigned)world_between(world, 0, 20);
    storm->freeze_percent = (unsigned)world_between(world, 0, 10);
    storm->delay_percent = (unsigned)world_between(world, 0, 20);
    storm->people_meddle = world_chance(world, 70);
    storm->database.lock_percent = (unsigned)world_between(world, 0, 60);
    storm->database.retry_percent = (unsigned)world_between(world, 0, 15);
    storm->database.lost_percent = (unsigned)world_between(world, 0, 15);
    storm->database.fail_percent = world_chance(world, 30) ? (unsigned)world_between(world, 1, 8) : 0;
    storm->long_silence = world_chance(world, 8);
    storm->double_percent = world_chance(world, 40) ? (unsigned)world_between(world, 1, 20) : 0;
    storm->full_percent = world_chance(world, 40) ? (unsigned)world_between(world, 1, 10) : 0;
    storm->unknown_percent = world_chance(world, 40) ? (unsigned)world_between(world, 1, 10) : 0;
    storm->broken_percent = world_chance(world, 40) ? (unsigned)world_between(world, 1, 5) : 0;
    storm->restore_percent = world_chance(world, 25) ? (unsigned)world_between(world, 1, 8) : 0;
    storm->log_percent = world_chance(world, 20) ? (unsigned)world_between(world, 1, 6) : 0;
    storm->second_percent = (unsigned)world_between(world, 0, 6);
    storm->gap_percent = world_chance(world, 30) ? (unsigned)world_between(world, 1, 20) : 0;
    storm->lying = world_chance(world, 12);
    storm->database.leftover_percent = (unsigned)world_between(world, 0, 60);
    /* Where a log or a shard falls back to what it was before an amendment, only people can say which plan holds; so
     * where a second coordinator goes on from a log that knows none. */
    storm->amending = storm->log_percent == 0 && storm->restore_percent == 0;
}

static void people_act(struct cluster *cluster, bool meddle)
{
    cluster->meddling = meddle;
    if (meddle && world_chance(&cluster->world, 30))
        mind_meddle(cluster);
    else
        mind_push(cluster);
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
    cluster->main.disk.unknown_percent = storm->unknown_percent;
    cluster->main.disk.broken_percent = storm->broken_percent;
    if (world_chance(world, storm->full_percent))
        cluster->main.disk.full_until_ms = world->now_ms + world_between(world, 1000, 15000);
}

/* Whoever restores a shard does so while its migrations still go on: what has ended is nobody's any more. */
static bool is_under_way(const struct cluster *cluster)
{
    for (unsigned i = 0; i < CLUSTER_PLANS; i++) {
        const struct coord_migration *m = cluster_migration(cluster, i);
        if (m == NULL || m->mode == COORD_ENDED)
            return false;
    }
    return true;
}

/* Backups are made, and now and then the last one is put back: on a shard, or of the coordinator's log. */
static void a_restore(struct cluster *cluster, const struct storm *storm)
{
    struct world *world = &cluster->world;
    unsigned number = (unsigned)(world_random(world) % CLUSTER_SHARDS);
    struct sim_db *db = &cluster->dbs[number];
    if (db->backup != NULL && is_under_way(cluster) && world_chance(world, storm->restore_percent)) {
        world_tell(world, "shard-%u is restored from a backup", number + 1);
        cluster->restored[number] = true;
        sim_db_restore(db);
    } else if (storm->restore_percent > 0 && world_chance(world, 10)) {
        sim_db_back_up(db);
    }
}

/* Somebody takes triggers away that keep step behind a switch. */
static void a_gap(struct cluster *cluster, const struct storm *storm)
{
    struct world *world = &cluster->world;
    unsigned number = (unsigned)(world_random(world) % CLUSTER_SHARDS),
             plan = (unsigned)(world_random(world) % CLUSTER_PLANS);
    const struct coord_migration *m = cluster_migration(cluster, plan);
    if (m == NULL || !world_chance(world, storm->gap_percent) || !sim_db_cut_sync(&cluster->dbs[number], m->plan))
        return;
    world_tell(world, "shard-%u loses triggers of %s", number + 1, m->id);
}

static void a_restored_log(struct cluster *cluster, const struct storm *storm)
{
    struct world *world = &cluster->world;
    if (cluster->has_copy && world_chance(world, storm->log_percent)) {
        bool backup = world_chance(world, 50);
        cluster->saw[backup ? SAW_LOG_RESTORED : SAW_TAIL_LOST] = true;
        cluster_crash_coordinator(cluster);
        cluster_restore_log(cluster, backup);
        cluster_start_coordinator(cluster);
    } else if (storm->log_percent > 0 && world_chance(world, 15)) {
        cluster_copy_log(cluster);
    }
}

static void a_second(struct cluster *cluster, const struct storm *storm)
{
    if (!cluster->two)
        return;
    if (world_chance(&cluster->world, storm->second_percent))
        cluster_start_second(cluster);
    else if (world_chance(&cluster->world, 20))
        cluster_stop_second(cluster);
}

static void restart_a_database(struct cluster *cluster)
{
    unsigned number = (unsigned)(world_random(&cluster->world) % CLUSTER_SHARDS);
    cluster_restart_database(cluster, number, world_between(&cluster->world, 0, 8000));
}

static void freeze_somebody(struct world *world)
{
    int64_t node = world_between(world, 0, CLUSTER_SHARDS);
    world->nodes[node].frozen_until_ms = world->now_ms + world_between(world, 100, 20000);
}

static void something_happens(struct cluster *cluster, const struct storm *storm)
{
    struct world *world = &cluster->world;
    if (world_chance(world, storm->crash_percent))
        crash_somebody(cluster);
    if (world_chance(world, storm->restart_percent))
        restart_a_database(cluster);
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
        freeze_somebody(world);
    if (world_chance(world, storm->double_percent))
        a_double(cluster);
    a_restore(cluster, storm);
    a_restored_log(cluster, storm);
    a_second(cluster, storm);
    a_gap(cluster, storm);
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

void storm_rage(struct cluster *cluster, const struct storm *storm)
{
    int64_t end = storm->long_silence ? LONG_STORM_MS : STORM_MS, slow_since_ms = 0;
    for (unsigned i = 0; i < CLUSTER_SHARDS; i++)
        cluster->dbs[i].faults = storm->database;
    for (unsigned i = 0; i < CLUSTER_PLANS; i++)
        cluster->plans[i].back = world_chance(&cluster->world, 30);
    cluster->amending = storm->amending && !cluster->two;
    if (storm->long_silence)
        cluster->dbs[0].faults = (struct sim_db_faults){.lock_percent = 100};
    while (cluster->world.now_ms < end && run_until(cluster, cluster->world.now_ms + FAULT_EVERY_MS)) {
        people_act(cluster, storm->people_meddle && !storm->long_silence);
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
    sim_store_heal(&cluster->main.disk);
    for (unsigned i = 0; i < CLUSTER_SHARDS; i++) {
        cluster->dbs[i].faults = (struct sim_db_faults){.lock_percent = 0};
        cluster_crash_agent(cluster, i + CLUSTER_SHARDS);
    }
    cluster_stop_second(cluster);
    cluster_start_coordinator(cluster);
    for (unsigned i = 0; i < CLUSTER_SHARDS; i++)
        cluster_start_agent(cluster, i);
}

void storm_lie(struct cluster *cluster)
{
    int64_t end = cluster->world.now_ms + LYING_MS;
    for (unsigned i = 0; i < CLUSTER_SHARDS; i++)
        cluster->dbs[i].faults = (struct sim_db_faults){.lock_percent = 0};
    liar_start(cluster);
    while (cluster->world.now_ms < end && run_until(cluster, cluster->world.now_ms + FAULT_EVERY_MS)) {
        crash_somebody(cluster);
        revive_somebody(cluster);
        if (world_chance(&cluster->world, 40))
            mind_sign(cluster);
    }
    liar_stop(cluster);
}

/* What the first shard that is not done waits for, as far as its agent says. */
static void tell_unfinished(struct cluster *cluster)
{
    const struct coord_view *view = coord_driver_view(cluster->main.driver);
    struct coord_release release[CLUSTER_SHARDS];
    for (unsigned plan = 0; plan < CLUSTER_PLANS; plan++) {
        const struct coord_migration *m = cluster_migration(cluster, plan);
        for (size_t i = 0; m != NULL && m->mode != COORD_ENDED && i < m->n_shards; i++) {
            const struct coord_shard *s = &m->shards[i];
            const struct zdm_migration_report *report = coord_view_report(view, &s->actor, m->id);
            world_tell(&cluster->world, "%s of %s is %s at %u of %u, opened %u", s->name, m->id,
                       coord_status_name(s->status), s->at, s->goal, s->opened);
            if (s->status == COORD_DONE)
                continue;
            coord_releasable(coord_driver_state(cluster->main.driver), view, m, mind_wall(cluster), release);
            cluster_fail(cluster,
                         "not finished %d s after the last fault: %s of %s is %s at %u of %u, opened %u, hold %d: %s",
                         PEACE_MS / 1000, s->name, m->id, coord_status_name(s->status), s->at, s->goal, s->opened,
                         (int)release[i].hold,
                         report == NULL               ? "nothing is heard of it"
                         : report->error[0] != 0      ? report->error
                         : report->blocked_by[0] != 0 ? report->blocked_by
                                                      : zdm_agent_state_name(report->state));
        }
    }
    cluster_fail(cluster, "not finished %d s after the last fault", PEACE_MS / 1000);
}

void storm_end(struct cluster *cluster)
{
    world_tell(&cluster->world, "peace");
    cluster->amending = false;
    heal(cluster);
    int64_t end = cluster->world.now_ms + PEACE_MS;
    while (!mind_is_content(cluster) && cluster->world.now_ms < end &&
           run_until(cluster, cluster->world.now_ms + FAULT_EVERY_MS))
        people_act(cluster, false);
    if (!mind_is_content(cluster))
        tell_unfinished(cluster);
}
