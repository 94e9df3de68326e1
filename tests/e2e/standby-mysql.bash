# Replicas of a MariaDB shard: a backfill waits while one lags, DDL keeps away while somebody reads there, an agent that is
# put beside one changes nothing, and one that nobody can look at parks a step. Sourced behind lib.bash.
# shellcheck shell=bash disable=SC2154

if [ "$server" = mysql ]; then
    echo "skipped: a local fleet makes replicas of its own MariaDB servers alone"
    exit 77
fi
rows=20000
"$top/deploy/localfleet" up "$dir" --mariadb 1 --replicas 2
# shellcheck source=/dev/null
. "$dir/env"
mapfile -t shards <"$dir/shards"
admin() { mariadb --defaults-file="$dir/shard-1/$1/my.cnf" --defaults-group-suffix=_admin -Be "$2"; } # admin REPLICA STATEMENTS
sql shard-1 "create table counters (id bigint primary key, n int not null default 0); create table users (id int primary key, name varchar(20));
    create table other (id int primary key); insert into counters select i, 0 from $(series $rows)"
there() { [ "$(sql shard-1-b1 "select count(*) from counters")" = $rows ] && [ "$(sql shard-1-b2 "select count(*) from counters")" = $rows ]; }
eventually 30 "the rows on the replicas" there

# ---- a backfill waits for a replica ----

front lag 'throttle: {batch_target: 5ms, duty: 5%, max_replica_lag: 1s}' >"$dir/lag.md"
cat >>"$dir/lag.md" <<'EOT'
# Add one to every row

## Phase 1: Migrate
```sql {no-sync no-undo batch=200}
UPDATE counters SET n = n + 1;
```
EOT
begun() { [ "$(observed lag shard-1 rows_done)" -gt 0 ]; }
throttled() { zdmctl status lag | grep -q 'replica_lag_ms [0-9]* > 1000'; }
zdmctl submit "$dir/lag.md" >/dev/null
zdmctl approve lag --phase 1 --runbook "$dir/lag.md" --yes >/dev/null
zdmctl advance lag --all-shards >/dev/null
eventually 30 "the first batches" begun
admin b2 "stop slave sql_thread"
eventually 20 "the word of the replica that lags" throttled
before=$(sql shard-1 "select count(*) from counters where n > 0")
sleep 2
is "$(sql shard-1 "select count(*) from counters where n > 0")" "$before" "a backfill waits while one of two replicas lags, and status says so"
[ "$before" -lt $rows ] || fail "the backfill was over before the replica lagged"
admin b2 "start slave"
zdmctl throttle lag --all-shards --duty 100 >/dev/null
zdmctl wait lag --for phase=1 --timeout 120s
caught_up() { [ "$(sql "$1" "select concat(count(*), ' ', min(n), ' ', max(n)) from counters")" = "$rows 1 1" ]; }
for node in shard-1 shard-1-b1 shard-1-b2; do eventually 30 "each row changed once on $node" caught_up $node; done
ok "it goes on when the replica does, and every row was changed once, on each of them"

# ---- who reads on a replica keeps DDL away ----

runbook() { # runbook ID FENCE TABLE
    front "$1" >"$dir/$1.md"
    printf '# A column\n\n## Phase 1: Expand\n\n```sql {visible%s}\nALTER TABLE %s ADD COLUMN more int;\n```\n' "$2" "$3" >>"$dir/$1.md"
    zdmctl submit "$dir/$1.md" >/dev/null
    zdmctl advance "$1" --all-shards >/dev/null
}
has_more() { sql "$1" "select count(*) from information_schema.columns where table_schema = database() and table_name = '$2' and column_name = 'more'"; }
{ echo "begin; select * from users;" && while [ ! -e "$dir/read" ]; do sleep 0.1; done; } | "$top/deploy/localfleet" sql "$dir" shard-1-b1 &
reader=$!
reads() { [ "$(admin b1 "select count(*) from information_schema.innodb_trx" | tail -n 1)" -gt 0 ]; }
eventually 10 "a reader on the replica" reads
runbook reader '' users
names_reader() { zdmctl status reader -o json | grep -qE 'replica 127.0.0.1:[0-9]+: .*shop'; }
eventually 20 "the reader on the replica in status" names_reader
is "$(has_more shard-1 users)" 0 "a step waits for a reader on a replica, and status names it"
touch "$dir/read"
wait $reader
zdmctl wait reader --for phase=1 --timeout 30s

# ---- an agent beside a replica ----

mkdir "$dir/stray"
zdmctl enroll stray --label cluster=main 2>/dev/null | zdm-agent join - --data "$dir/stray/agent" >/dev/null
{
    echo "data: $dir/stray/agent"
    sed -n 's/^  - \(.*\)/dsn: \1/p' "$dir/shard-1/agent.yaml" | head -n 1
} >"$dir/stray/agent.yaml"
zdm-agent run --config "$dir/stray/agent.yaml" >"$dir/stray/agent.log" 2>&1 &
stray=$!
children+=("$stray")
knows() { grep -q 'role=read-only' "$dir/stray/agent.log"; }
eventually 20 "the agent beside the replica" knows
printf -- '---\nid: alone\nengines: mysql\nmax_parallel: 2\n---\n# A column\n\n## Phase 1: Expand\n\n```sql {visible}\nALTER TABLE other ADD COLUMN more int;\n```\n' >"$dir/alone.md"
zdmctl submit "$dir/alone.md" >/dev/null
zdmctl advance alone --all-shards >/dev/null
reached() { [ "$(observed alone shard-1 phase)" = 1 ]; }
eventually 30 "the step on the primary" reached
sleep 2
is "$(observed alone stray phase | sed 's/null/0/')" 0 "an agent beside a replica says of nothing that it did it"
is "$(admin b1 "select count(*) from zdm.migration where migration = 'alone'" | tail -n 1) $(has_more shard-1-b1 other)" "1 1" "what is there came from its primary"
note "$(zdmctl status alone | grep stray; tail -n 4 "$dir/stray/agent.log")"
kill -TERM "$stray"

# ---- a replica that the agent does not know ----

kill -TERM "$(cat "$dir/shard-1-agent.pid")"
port=$(cat "$dir/shard-1/b2/port")
grep -v "port=$port " "$dir/shard-1/agent.yaml" >"$dir/one.yaml"
agent_is_gone() { ! kill -0 "$(cat "$dir/shard-1-agent.pid")" 2>/dev/null; }
eventually 15 "the end of the agent" agent_is_gone
zdm-agent run --config "$dir/one.yaml" >>"$dir/shard-1/agent.log" 2>&1 &
children+=("$!")
sql shard-1 "create table third (id int primary key); create table fourth (id int primary key)"
runbook parked '' third
parked() { zdmctl status parked | grep -q 'unguarded-replicas'; }
eventually 20 "the word of the replica that is not guarded" parked
is "$(has_more shard-1 third)" 0 "a replica that nobody can look at parks the step, and status says what to write"
runbook goes ' unguarded-replicas' fourth
done_there() { [ "$(observed goes shard-1 phase)" = 1 ]; }
eventually 30 "the step that goes on" done_there
is "$(has_more shard-1 fourth)" 1 "with {unguarded-replicas} it goes on"
