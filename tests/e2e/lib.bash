# Shared by the end-to-end tests: a fleet of one's own, and what one asks of it. Sourced, with BIN as the first argument.
# shellcheck shell=bash disable=SC2034
set -euo pipefail

bin=$(realpath "${1:?usage: $0 FOLDER-OF-THE-PROGRAMS}")
e2e=$(cd "$(dirname "${BASH_SOURCE[0]}")" && pwd)
top=$(cd "$e2e/../.." && pwd)
export ZDM_BIN=$bin quiet=yes
# Of the shards: postgresql, mariadb, or mysql, which is the server that ZDM_TEST_MYSQL_DSN names.
server=${ZDM_TEST_SERVER:-postgresql}
engine=mysql
if [ "$server" = postgresql ]; then engine=postgresql; fi
if [ "$server" = mysql ] && [ -z "${ZDM_TEST_MYSQL_DSN:-}" ]; then
    echo "skipped: ZDM_TEST_MYSQL_DSN names no MySQL server"
    exit 77
fi
if [ -n "${ZDM_TEST_POSTGRESQL_BIN:-}" ]; then # another server than the installed one, and its pg_dump where it has one
    export ZDM_POSTGRESQL_BIN=$ZDM_TEST_POSTGRESQL_BIN PATH=$ZDM_TEST_POSTGRESQL_BIN:$PATH
fi
# By hand: where tests/support/mysql-server has made that server, for this test alone, which may kill it.
mysql_folder=${ZDM_TEST_MYSQL_FOLDER:-}
dir=$(mktemp -d /var/tmp/zdm-e2e.XXXXXX)
children=()
passed=''

# What runs in the background goes with the script: one that waits, for a lock or for a word that never comes, would keep
# a script that has failed from its end.
end_jobs() {
    local pid
    for pid in $(jobs -p); do kill -TERM "$pid" 2>/dev/null || true; done
    for _ in $(seq 100); do
        if [ -z "$(jobs -pr)" ]; then return 0; fi # without the 0 it would be what the script failed with
        sleep 0.1
    done
    for pid in $(jobs -pr); do kill -KILL "$pid" 2>/dev/null || true; done
}

finish() {
    local pid
    for pid in "${children[@]}"; do kill -TERM "$pid" 2>/dev/null || true; done
    if [ -z "$passed" ]; then
        echo "--- status and the last lines of the logs"
        zdmctl status 2>&1 | tail -n 30 || true
        tail -n 12 "$dir"/*.log "$dir"/shard-*/agent.log "$dir"/shard-*/server.log 2>/dev/null || true
    fi
    if [ -e "$dir/shards" ]; then "$top/deploy/localfleet" down "$dir" || true; fi
    end_jobs
    wait 2>/dev/null || true
    rm -rf "$dir"
}
trap finish EXIT
trap 'exit 130' INT TERM

note() { echo "# $1"; }
fail() {
    echo "not ok - $1"
    exit 1
}
ok() { echo "ok - $1"; }
pass() {
    passed=yes
    exit 0
}

is() { # is GOT WANTED WHAT
    [ "$1" = "$2" ] || fail "$3: got \"$1\", wanted \"$2\""
    ok "$3"
}

fleet() { # fleet N: N shards are up and ZDM_* is set
    local i shards_of=("--$server" "$1")
    if [ "$server" = mysql ]; then
        shards_of=()
        for ((i = 0; i < $1; i++)); do shards_of+=(--mysql "$ZDM_TEST_MYSQL_DSN"); done
    fi
    "$top/deploy/localfleet" up "$dir" "${shards_of[@]}"
    # shellcheck source=/dev/null
    . "$dir/env"
    mapfile -t shards <"$dir/shards"
}

again() { # what was killed is there again
    if [ "$server" = mysql ] && [ -n "$mysql_folder" ]; then "$top/tests/support/mysql-server" up "$mysql_folder" >/dev/null; fi
    "$top/deploy/localfleet" up "$dir"
}

sql() { # sql SHARD QUERY…
    local shard=$1
    shift
    "$top/deploy/localfleet" sql "$dir" "$shard" "$*"
}

everywhere() { # everywhere QUERY: on all shards at once
    local shard pids=() pid
    for shard in "${shards[@]}"; do
        sql "$shard" "$1" >/dev/null &
        pids+=($!)
    done
    for pid in "${pids[@]}"; do wait "$pid"; done
}

node() { jq -r --arg s "$1" ".nodes[] | select(.shard == \$s).$2" "$dir/fleet.json"; }
coordinator_pid() { jq -r '.coordinators[0].pid' "$dir/fleet.json"; }

kill_hard() { # kill_hard PID: kill -9, and wait until it is dead
    kill -KILL "$1"
    for _ in $(seq 100); do
        grep -q '^State:[[:space:]]*[^Z]' "/proc/$1/status" 2>/dev/null || return 0
        sleep 0.05
    done
    fail "process $1 did not die"
}

kill_database() { # a MySQL server that others use stays, and loses every session of the fleet's agents
    local pidfile=$dir/$1/data/postmaster.pid
    if [ "$engine" = mysql ]; then pidfile=$dir/$1/server.pid; fi
    if [ "$server" = mysql ]; then
        if [ -z "$mysql_folder" ]; then
            cut_agents_off "$1"
            return
        fi
        pidfile=$mysql_folder/pid
    fi
    kill_hard "$(head -n 1 "$pidfile")"
}

cut_agents_off() {
    local admin=(mariadb --defaults-file="$dir/$1/my.cnf" --defaults-group-suffix=_admin --batch --skip-column-names)
    "${admin[@]}" -e "select concat('kill ', id, ';') from performance_schema.processlist where user = 'zdm_agent_$(cat "$dir/number")'" |
        "${admin[@]}" --force 2>/dev/null || true # one may have ended by itself
}

observed() { # observed MIGRATION SHARD FIELD
    zdmctl status "$1" -o json | jq -r --arg s "$2" ".shards[] | select(.shard == \$s).observed.$3"
}

shard_field() { zdmctl status "$1" -o json | jq -r --arg s "$2" ".shards[] | select(.shard == \$s).$3"; }

eventually() { # eventually SECONDS WHAT COMMAND…
    local seconds=$1 what=$2
    shift 2
    for _ in $(seq $((seconds * 5))); do
        "$@" >/dev/null 2>&1 && return
        sleep 0.2
    done
    fail "$what did not happen within $seconds s"
}

# What the engines write differently, for tables and rows that both have.
if [ "$engine" = mysql ]; then
    serial='bigint auto_increment primary key' now_column='timestamp not null default current_timestamp'
    series() { echo "(select seq as i from seq_1_to_$1) as numbers"; }
    if [ "$server" = mysql ]; then # it has no sequence tables
        series() { echo "json_table(concat('[', repeat('0,', $1 - 1), '0]'), '\$[*]' columns (i for ordinality)) as numbers"; }
    fi
    differs() { echo "not (cast($1 as binary) <=> cast($2 as binary))"; }
else
    serial='bigint generated by default as identity primary key' now_column='timestamptz not null default now()'
    series() { echo "generate_series(1, $1) i"; }
    differs() { echo "$1 is distinct from $2 collate \"C\""; }
fi

front() { # front ID [LINE…]: front matter for a runbook of this engine
    printf -- '---\nid: %s\nengines: %s\n' "$1" "$engine"
    shift
    printf '%s\n' "$@" ---
}

users_table() { # users_table ROWS
    everywhere "create table users (id $serial, name varchar(255) not null, email varchar(255) not null, created_at $now_column);
        insert into users (name, email) select concat('user ', i), concat('user', i, '@example.com') from $(series "$1")"
}

visible() { # visible SHARD COLUMN: 1 where an application that writes SELECT * sees it, else 0
    if [ "$engine" = mysql ]; then
        sql "$1" "select count(*) from information_schema.columns where table_schema = database() and table_name = 'users' and column_name = '$2' and extra not like '%INVISIBLE%'"
    else
        sql "$1" "select count(*) from information_schema.columns where table_name = 'users' and column_name = '$2'"
    fi
}

hidden_column() { # hidden_column SHARD: of users, as SQL names it
    if [ "$engine" = mysql ]; then
        sql "$1" "select column_name from information_schema.columns where table_schema = database() and table_name = 'users' and extra like '%INVISIBLE%'"
    else
        sql "$1" "select quote_ident(attname) from pg_attribute where attrelid = 'users'::regclass and attname like '~zdm%' and not attisdropped"
    fi
}

triggers() { # triggers SHARD: how many there are on users
    if [ "$engine" = mysql ]; then
        sql "$1" "select count(*) from information_schema.triggers where event_object_schema = database() and event_object_table = 'users'"
    else
        sql "$1" "select count(*) from pg_trigger where tgrelid = 'users'::regclass and not tgisinternal"
    fi
}

start_app() { # start_app SHARD TAG COLUMN FIRST RATE: its report in DIR/app-TAG-SHARD.json; pid in $app
    zdm-demo-app --dsn "$(node "$1" dsn)" --column "$3" --tag "$2" --rate "$5" --clients 2 --first "$4" --owners 4 \
        >"$dir/app-$2-$1.json" 2>"$dir/app-$2-$1.err" &
    app=$!
    children+=("$app")
}
