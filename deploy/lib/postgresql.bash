# PostgreSQL servers of a local fleet: sourced by deploy/localfleet, which has dir, here, fail, say, alive, free_port.
# A node is a shard, or SHARD/b1, SHARD/b2, … for its standbys, which stream under the name SHARD-b1.
# shellcheck shell=bash disable=SC2154

postgresql_user=()

postgresql_installed() { # the folder of the newest server that is installed
    local candidate newest=''
    for candidate in /usr/lib/postgresql/*/bin; do if [ -x "$candidate/postgres" ]; then newest=$candidate; fi; done
    echo "$newest"
}

# The server that the fleet was made with, where that is not the installed one: its data is for that release alone.
postgresql_find() { # it must not run as root
    if [ -s "$dir/postgresql-bin" ]; then ZDM_POSTGRESQL_BIN=$(cat "$dir/postgresql-bin"); fi
    pg=${ZDM_POSTGRESQL_BIN:-$(postgresql_installed)}
    [ -n "$pg" ] || fail "no PostgreSQL server is installed" "Run deploy/install-dependencies first."
    if [ "$(id -u)" -eq 0 ]; then
        id postgres >/dev/null 2>&1 || fail "user postgres does not exist" "Run deploy/install-dependencies first."
        postgresql_user=(setpriv --reuid=postgres --regid=postgres --clear-groups --)
    fi
    "${postgresql_user[@]}" test -x "$pg/postgres" ||
        fail "there is no $pg/postgres, or the user of the server cannot run it" "ZDM_POSTGRESQL_BIN names the folder of a server's programs."
    if [ -n "${ZDM_POSTGRESQL_BIN:-}" ]; then echo "$ZDM_POSTGRESQL_BIN" >"$dir/postgresql-bin"; fi
}

postgresql_program() { # postgresql_program NAME: what that folder lacks (psql, pg_basebackup) is the installed server's
    if [ -x "$pg/$1" ]; then echo "$pg/$1"; else echo "$(postgresql_installed)/$1"; fi
}

postgresql_dsn() { # postgresql_dsn NODE USER
    echo "host=127.0.0.1 port=$(cat "$dir/$1/port") dbname=shop user=$2 passfile=$dir/pgpass connect_timeout=5"
}

postgresql_make() { # initdb with passwords; they are only ever in files of mode 0600
    local shard=$1 data=$dir/$1/data pwfile
    [ -e "$data/PG_VERSION" ] && return
    say "making $shard"
    mkdir -p "$dir/$shard"
    install -d -m 0700 "$data"
    pwfile=$(mktemp "$dir/$shard/.pw.XXXXXX")
    cat "$dir/password" >"$pwfile"
    if [ ${#postgresql_user[@]} -gt 0 ]; then chown postgres "$data" "$pwfile"; fi
    "${postgresql_user[@]}" "$pg/initdb" -D "$data" -U postgres --pwfile="$pwfile" --auth=scram-sha-256 -E UTF8 --locale=C.UTF-8 \
        >"$dir/$shard/initdb.log" 2>&1 || fail "initdb failed for $shard" "See $dir/$shard/initdb.log."
    rm -f "$pwfile"
    cat >>"$data/postgresql.conf" <<'CONF'
listen_addresses = '127.0.0.1'
unix_socket_directories = ''
shared_buffers = 128MB
max_connections = 60
max_wal_size = 2GB
autovacuum_naptime = 10s
log_line_prefix = '%m [%p] %q%u@%d '
CONF
}

postgresql_pid() { head -n 1 "$dir/$1/data/postmaster.pid"; }

postgresql_start() {
    local node=$1 data=$dir/$1/data
    alive "$data/postmaster.pid" postgres && return
    for _ in 1 2 3 4 5; do
        if [ ! -s "$dir/$node/port" ]; then free_port >"$dir/$node/port"; fi
        # A server killed with -9 leaves its pid file behind; the number may belong to somebody else by now.
        rm -f "$data/postmaster.pid"
        if "${postgresql_user[@]}" "$pg/pg_ctl" -D "$data" -o "-p $(cat "$dir/$node/port")" -l "$data/server.log" -w -t 60 start \
            >/dev/null 2>&1 </dev/null; then
            return
        fi
        [ -e "$dir/$node/ready" ] || rm -f "$dir/$node/port"
        sleep 0.3
    done
    tail -n 5 "$data/server.log" >&2 || true
    fail "PostgreSQL of $node did not start" "The last lines of its log are above."
}

postgresql_prepare() { # roles, database, the agent's grants: once
    local shard=$1 password
    [ -e "$dir/$shard/ready" ] && return
    password=$(cat "$dir/password")
    export PGPASSFILE=$dir/pgpass
    local admin=("$(postgresql_program psql)" -qX -v ON_ERROR_STOP=1 -h 127.0.0.1 -p "$(cat "$dir/$shard/port")" -U postgres)
    "${admin[@]}" -d postgres <<SQL
create role shop login password '$password';
create role zdm_agent login password '$password';
create database shop owner shop;
SQL
    "${admin[@]}" -d shop -v agent=zdm_agent -v owner=shop -f "$here/sql/postgresql-grants.sql" >/dev/null
    touch "$dir/$shard/ready"
}

postgresql_make_standby() {
    local shard=$1 node=$2 data=$dir/$2/data
    mkdir -p "$dir/$node"
    install -d -m 0700 "$data"
    if [ ${#postgresql_user[@]} -gt 0 ]; then chown postgres "$data"; fi
    PGPASSWORD=$(cat "$dir/password") "${postgresql_user[@]}" "$(postgresql_program pg_basebackup)" -D "$data" -h 127.0.0.1 \
        -p "$(cat "$dir/$shard/port")" -U postgres -X stream -c fast >"$dir/$node/basebackup.log" 2>&1 ||
        fail "the base backup for $node failed" "See $dir/$node/basebackup.log."
    # Not with -R: a pg_basebackup that is newer than the server writes options there that this does not know.
    "${postgresql_user[@]}" touch "$data/standby.signal"
    cat >>"$data/postgresql.conf" <<CONF
cluster_name = '${node/\//-}'
primary_conninfo = 'host=127.0.0.1 port=$(cat "$dir/$shard/port") user=postgres password=$(cat "$dir/password")'
CONF
    touch "$dir/$node/copied"
}

postgresql_start_standby() { # postgresql_start_standby SHARD NODE
    local node=$2
    [ -e "$dir/$node/copied" ] || { say "making $node" && rm -rf "$dir/${node:?}/data" && postgresql_make_standby "$1" "$node"; }
    postgresql_start "$node"
    touch "$dir/$node/ready"
}

postgresql_stop() {
    if alive "$dir/$1/data/postmaster.pid" postgres; then
        "${postgresql_user[@]}" "$pg/pg_ctl" -D "$dir/$1/data" -m fast -w -t 60 stop >/dev/null 2>&1 ||
            "${postgresql_user[@]}" "$pg/pg_ctl" -D "$dir/$1/data" -m immediate -w -t 60 stop >/dev/null 2>&1 || true
    fi
}

postgresql_sql() { # postgresql_sql NODE [STATEMENTS]
    if [ $# -gt 1 ]; then
        exec psql "$(postgresql_dsn "$1" shop)" -qXAt -v ON_ERROR_STOP=1 -c "$2"
    fi
    exec psql "$(postgresql_dsn "$1" shop)" -v ON_ERROR_STOP=1
}
