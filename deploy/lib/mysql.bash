# MariaDB servers of a local fleet, and shards on a MySQL or MariaDB server that somebody else runs: sourced by
# deploy/localfleet, which has dir, here, fail, say, alive, stop, free_port, wait_until. A node is a shard, or SHARD/b1,
# SHARD/b2, … for its replicas. DIR/SHARD/server holds the DSN of a server that is not ours. Passwords are only ever in option files of mode 0600.
# shellcheck shell=bash disable=SC2154

mysql_user=()

mysql_find() {
    command -v mariadb >/dev/null || fail "no MariaDB client is installed" "Run deploy/install-dependencies first."
    mariadbd=$(command -v mariadbd || echo /usr/sbin/mariadbd)
    [ -x "$mariadbd" ] || fail "no MariaDB server is installed" "Run deploy/install-dependencies first."
    if [ "$(id -u)" -eq 0 ]; then
        id mysql >/dev/null 2>&1 || fail "user mysql does not exist" "Run deploy/install-dependencies first."
        mysql_user=(setpriv --reuid=mysql --regid=mysql --clear-groups --)
    fi
}

mysql_is_ours() { [ ! -e "$dir/$1/server" ]; }

# On a server of somebody else, where other fleets may be, names end in a number of this fleet's own.
mysql_name() { if mysql_is_ours "$1"; then echo "$2"; else echo "$2_$(cat "$dir/number")"; fi; } # mysql_name SHARD NAME

mysql_database() { if mysql_is_ours "$1"; then echo shop; else echo "$(mysql_name "$1" shop)_${1##*-}"; fi; }

mysql_dsn() { # mysql_dsn SHARD shop|zdm_agent|admin
    local shard=$1 at
    if mysql_is_ours "$shard"; then
        at="host=127.0.0.1 port=$(cat "$dir/$shard/port")"
    else
        at=$(mysql_server_keys "$shard" host port socket ssl ssl-ca | paste -sd' ')
    fi
    echo "mysql:$at database=$(mysql_database "$shard") defaults-file=$dir/$shard/my.cnf group=client_$2"
}

mysql_run() { # mysql_run SHARD shop|zdm_agent|admin DATABASE ARGUMENTS…
    local shard=$1 who=$2 database=$3
    shift 3
    mariadb --defaults-file="$dir/$shard/my.cnf" --defaults-group-suffix="_$who" --batch --skip-column-names --raw ${database:+--database="$database"} "$@"
}

mysql_make() {
    local shard=$1 data=$dir/$1/data
    if ! mysql_is_ours "$shard" || [ -e "$data/ibdata1" ]; then return; fi
    say "making $shard"
    mkdir -p "$dir/$shard"
    install -d -m 0700 "$data" "$dir/$shard/tmp"
    if [ ${#mysql_user[@]} -gt 0 ]; then chown mysql "$data" "$dir/$shard/tmp"; fi
    "${mysql_user[@]}" mariadb-install-db --no-defaults --datadir="$data" --auth-root-authentication-method=normal --skip-test-db \
        --skip-name-resolve >"$dir/$shard/install.log" 2>&1 || fail "mariadb-install-db failed for $shard" "See $dir/$shard/install.log."
}

mysql_option_file() { # mysql_option_file SHARD: one group for each account; a new server gets its root password by an init file
    local shard=$1 file=$dir/$1/my.cnf at who
    [ -e "$file" ] && return
    if mysql_is_ours "$shard"; then
        at="host=127.0.0.1"$'\n'"port=$(cat "$dir/$shard/port")"
    else
        at=$(mysql_server_keys "$shard" host port socket ssl-ca)
    fi
    (umask 077 && {
        for who in shop zdm_agent; do printf '[client_%s]\n%s\nuser=%s\npassword=%s\n' "$who" "$at" "$(mysql_name "$shard" "$who")" "$(cat "$dir/password")"; done
        printf '[client_admin]\n%s\n' "$at"
        if mysql_is_ours "$shard"; then printf 'user=root\npassword=%s\n' "$(cat "$dir/password")"; else mysql_admin_lines "$shard"; fi
    } >"$file.new")
    mv "$file.new" "$file"
}

mysql_server_keys() { # mysql_server_keys SHARD KEY…: "key=value" lines of the DSN that the shard was made with
    local shard=$1 key
    shift
    for key in "$@"; do sed 's/^mysql://' "$dir/$shard/server" | tr ' ' '\n' | grep "^$key=" | head -n 1 || true; done
}

mysql_admin_lines() { # user and password of that DSN: from the option file that it names
    local file group
    mysql_server_keys "$1" user
    file=$(mysql_server_keys "$1" defaults-file) group=$(mysql_server_keys "$1" group)
    file=${file#*=} group=${group#*=}
    [ -n "$file" ] || return 0
    [ -r "$file" ] || fail "$file cannot be read" "--mysql names it as defaults-file."
    sed -n "/^\[${group:-client}\]/,/^\[/{/^\(user\|password\)[[:space:]]*=/p}" "$file"
}

mysql_pid() { if mysql_is_ours "$1"; then head -n 1 "$dir/$1/server.pid"; else echo null; fi; }

mysql_answers() { mysql_run "$1" admin '' -e 'select 1'; }

mysql_start() {
    local shard=$1 data=$dir/$1/data more=()
    if ! mysql_is_ours "$shard"; then
        mysql_option_file "$shard"
        mysql_answers "$shard" >/dev/null || fail "the server of $shard does not answer" "Its DSN is in $dir/$shard/server."
        return
    fi
    alive "$dir/$shard/server.pid" mariadbd && return
    [ -s "$dir/$shard/port" ] || free_port >"$dir/$shard/port"
    mysql_option_file "$shard"
    if [ ! -e "$dir/$shard/ready" ]; then
        (umask 077 && printf "set sql_log_bin = 0;\nalter user root@localhost identified by '%s';\n" "$(cat "$dir/password")" >"$data/init.sql")
        if [ ${#mysql_user[@]} -gt 0 ]; then chown mysql "$data/init.sql"; fi
        more=(--init-file="$data/init.sql")
    fi
    if [[ $shard == */* ]]; then more+=(--read-only); fi
    # A server that starts deletes what looks like a temporary table in its tmpdir, also another server's, which then crashes.
    launch "$shard/server" "$dir/$shard/server.log" "${mysql_user[@]}" "$mariadbd" --no-defaults --datadir="$data" --tmpdir="$dir/$shard/tmp" --socket="$data/s" --pid-file="$data/pid" \
        --bind-address=127.0.0.1 --port="$(cat "$dir/$shard/port")" --server-id="$(cat "$dir/$shard/port")" \
        --log-bin=binlog --binlog-format=ROW --log-bin-trust-function-creators=1 --innodb-buffer-pool-size=128M \
        --max-connections=60 --character-set-server=utf8mb4 --performance-schema=ON "${more[@]}"
    wait_until 60 "MariaDB of $shard" "$dir/$shard/server.log" mysql_answers "$shard"
    rm -f "$data/init.sql"
}

# A replica reads the primary's binary log from its beginning, so that it needs no copy of its data.
mysql_start_standby() { # mysql_start_standby SHARD NODE
    local shard=$1 node=$2
    mysql_make "$node"
    mysql_start "$node"
    [ -e "$dir/$node/ready" ] && return
    mysql_run "$shard" admin '' <<<"create or replace user zdm_replica@'%' identified by '$(cat "$dir/password")'; grant replication slave on *.* to zdm_replica@'%'"
    mysql_run "$node" admin '' <<<"stop slave; change master to master_host = '127.0.0.1', master_port = $(cat "$dir/$shard/port"),
        master_user = 'zdm_replica', master_password = '$(cat "$dir/password")', master_use_gtid = slave_pos, master_connect_retry = 1; start slave"
    touch "$dir/$node/ready"
}

mysql_prepare() { # accounts, database, the agent's grants: once
    local shard=$1 password database shop agent
    [ -e "$dir/$shard/ready" ] && return
    password=$(cat "$dir/password") database=$(mysql_database "$shard")
    shop=$(mysql_name "$shard" shop) agent=$(mysql_name "$shard" zdm_agent)
    mysql_run "$shard" admin '' <<SQL
create database if not exists $database character set utf8mb4;
create user if not exists $shop@'%' identified by '$password';
grant all on $database.* to $shop@'%';
create user if not exists $agent@'%' identified by '$password';
SQL
    mysql_grants "$database" "$agent" | mysql_run "$shard" admin '' --comments
    touch "$dir/$shard/ready"
}

mysql_grants() { # mysql_grants DATABASE AGENT: the agent's rights
    sed -e "s/\`shop\`/\`$1\`/g" -e "s/'zdm_agent'@/'$2'@/g" "$here/sql/mysql-grants.sql"
}

mysql_stop() {
    if mysql_is_ours "$1"; then stop "$dir/$1/server.pid" mariadbd; fi
}

mysql_sql() { # mysql_sql SHARD [STATEMENTS]
    if [ $# -gt 1 ]; then
        mysql_run "$1" shop "$(mysql_database "$1")" -e "$2"
    else
        exec mariadb --defaults-file="$dir/$1/my.cnf" --defaults-group-suffix=_shop --database="$(mysql_database "$1")"
    fi
}
