# MySQL's and MariaDB's part of the test of the catalogue: what is there, what a stop looks like, what the application does.
# Sourced behind lib.bash, with rows.
# shellcheck shell=bash disable=SC2034,SC2154

runbooks_there='constraints values objects rows stays'
declare -A space=([constraints]=con [values]=val [objects]=obj [rows]=rws [stays]=sta)
file() { echo "$top/tests/catalogue/mysql/$1.md"; }

# ---- what is there: tables by their first letters; rows up to $rows keep their values, whatever the writers do, but `hits` ----

key='id bigint auto_increment primary key'
numbers=$(series "$rows")
setup="
create table con_customers ($key, email varchar(60) not null, name varchar(60) not null, city varchar(40) not null default 'Ulm',
    unique key customers_email (email)) auto_increment = 1000000;
create table con_orders ($key, customer_id bigint, ref varchar(60), total int, note varchar(40)) auto_increment = 1000000;
create table con_payments (id bigint primary key, order_id bigint, key payments_order (order_id),
    constraint payments_order_fk foreign key (order_id) references con_orders (id) on delete cascade);
insert into con_customers (id, email, name) select i, concat('c', i), concat('n', i) from $numbers;
insert into con_orders select i, i, concat('r', i), i, 'x' from $numbers;
insert into con_payments select i, i from $numbers;

create table val_items ($key, name varchar(60), n int not null default 0, gone varchar(20), hits int not null default 0,
    key items_name (name)) auto_increment = 1000000 comment 'old words';
insert into val_items (id, name, n) select i, concat('N', i), i % 100 from $numbers;

create table obj_users ($key, name varchar(60), email varchar(60), active boolean not null default true, key users_old (name, id)) auto_increment = 1000000;
create table obj_old_log ($key, user_id bigint, what varchar(20) not null default 'x', key old_log_what (what),
    constraint old_log_user foreign key (user_id) references obj_users (id)) comment 'it''s old';
insert into obj_users (id, name, email) select i, concat('n', i), concat('e', i) from $numbers;
insert into obj_old_log (id, user_id) select i, i from $numbers;

create table rws_messages ($key, body varchar(80), state varchar(10) not null default 'new', hits int not null default 0,
    size int generated always as (char_length(body)) virtual) auto_increment = 1000000;
create table rws_pairs (id bigint, half varchar(5), body varchar(80), primary key (id, half));
insert into rws_messages (id, body) select i, concat(case when i % 4 = 0 then 'spam' else 'm' end, i) from $numbers;
insert into rws_pairs select i, 'left', case when i % 3 = 0 then 'gone' else 'm' end from $numbers;

create table sta_things ($key, name varchar(40), price int, color enum('red', 'green') not null default 'red', hits int not null default 0,
    constraint things_price check (price >= 0)) auto_increment = 1000000;
insert into sta_things (id, name, price) select i, concat('t', i), i from $numbers"

# ---- the judge ----

database() { if [ "$1" = plain ]; then echo "$(database shard-1)_plain"; else node "$1" dsn | grep -oE 'database=[^ ]*' | cut -d= -f2; fi; }
ask() { # ask DATABASE [QUERY]: as who may do everything there; without a query what comes in
    local of=$1
    if [ "$1" = plain ]; then of=shard-1; fi
    mariadb --defaults-file="$dir/$of/my.cnf" --defaults-group-suffix=_admin --batch --skip-column-names --raw --database="$(database "$1")" ${2:+-e "$2"}
}
make_plain() { ask shard-1 "create database $(database plain) character set utf8mb4"; }
plain() { ask plain; }
run_plain() { plain; }

# ---- what a stop looks like ----

tables() { # tables DATABASE SPACE TYPE
    ask "$1" "select table_name from information_schema.tables where table_schema = database() and table_name like '$2\\_%' and table_type = '$3' order by 1"
}
# A column or key a line, in order of the alphabet; MORE: a pattern of lines that are left out.
schema() { # schema DATABASE SPACE [MORE]
    local t
    for t in $(tables "$1" "$2" 'BASE TABLE'); do
        ask "$1" "show create table $t" | sed -E "s/ AUTO_INCREMENT=[0-9]+//; s/ _utf8mb[34]'/ '/g; s/,\$//; s/^/$t: /" | grep -vE "${3:-^$}" | sort
    done
    tables "$1" "$2" VIEW
}
# The md5 of each table's rows, without those of the writers, their counters, and columns that are out of sight.
content() { # content DATABASE SPACE
    local t columns
    for t in $(tables "$1" "$2" 'BASE TABLE'); do
        columns=$(ask "$1" "select group_concat(concat('\`', column_name, '\`') order by column_name) from information_schema.columns
            where table_schema = database() and table_name = '$t' and column_name <> 'hits' and extra not like '%INVISIBLE%'")
        echo "$t $(ask "$1" "select $columns from $t where id < 1000000 order by id" | md5sum)"
    done
}
# What waits for its purge is left out: columns out of sight, indexes that no query uses.
waiting='INVISIBLE| IGNORED'

# ---- the application ----

cat >"$dir/work.sql" <<SQL
set @one = 1 + floor(rand() * $rows), @two = 1 + floor(rand() * $rows), @new = 2000000 + uuid_short() % 1000000000000000;
insert into con_customers (email, name) values (concat('new', @new), 'n');
insert into con_orders (customer_id, ref, total, note) values (last_insert_id(), concat('new', @new), 1, 'x');
update con_orders set total = total, note = note where id = @one;
update con_customers set name = name where id = @two;
insert into con_payments values (@new, @one);
update con_payments set order_id = order_id where id = @two;
delete from con_orders where id between 1000000 and 1000010;
insert into val_items (name, n) values ('new', 60);
update val_items set hits = hits + 1 where id = @one;
select concat('val_items ', @one) from dual where row_count() > 0;
delete from val_items where id > 1000000 order by id desc limit 1;
insert into obj_users (name, email) values ('new', concat('new', @new));
update obj_users set name = name where id = @one;
insert into rws_messages (body, state) values ('new', 'read');
update rws_messages set hits = hits + 1 where id = @two;
select concat('rws_messages ', @two) from dual where row_count() > 0;
insert into rws_pairs values (@new, 'right', 'new');
update rws_pairs set body = body where id = @two;
insert into sta_things (name, price, color) values ('new', 1, 'green');
update sta_things set hits = hits + 1 where id = @one;
select concat('sta_things ', @one) from dual where row_count() > 0;
SQL
client() { # client SHARD: of what comes in; on a new connection it would send once more what was done already
    mariadb --defaults-file="$dir/$1/my.cnf" --defaults-group-suffix=_shop --batch --skip-column-names --skip-reconnect --database="$(database "$1")"
}
# Of what clients said: what is not about a server that is gone.
errors() { grep 'ERROR' | grep -vE 'ERROR (1053|1927|2002|2003|2006|2013|2026) ' || true; }

# ---- what is asked of a shard ----

# On a server of others, what they left.
ask shard-1 "select concat('table zdm.', table_name) from information_schema.tables where table_schema = 'zdm' and table_name like '%\\_%\\_%'" >"$dir/left-before"

hits() { # hits SHARD: "TABLE ROW HITS" of the rows that are counted
    local t
    for t in val_items rws_messages sta_things; do sql "$1" "select concat('$t ', id, ' ', hits) from $t where id < 1000000"; done
}
# Of zdm, in the application's database and in its own. What stays has a definition of before, too, which nothing asks for.
leftovers() { # leftovers SHARD KINDS BACK
    local hidden="is_visible = 'NO'" home
    if [ "$server" = mariadb ]; then hidden="ignored = 'YES'"; fi
    home=$(database "$1")
    ask "$1" "select concat('trigger ', trigger_name) from information_schema.triggers where trigger_schema = '$home'
        union all select concat('column ', table_name, '.', column_name) from information_schema.columns where table_schema = '$home' and extra like '%INVISIBLE%'
        union all select concat('table ', table_name) from information_schema.tables where table_schema = '$home' and table_name like 'zdm%'
        union all select concat('index ', index_name) from information_schema.statistics where table_schema = '$home' and $hidden
        union all select concat('table zdm.', table_name) from information_schema.tables where table_schema = 'zdm' and table_name not in
            ('meta', 'plan', 'migration', 'spent', 'sync', 'owned', 'hidden', 'former', 'walk_back', 'compared', 'interrupted')
        union all select concat('hidden ', table_name, '.', hidden_name) from zdm.hidden where home = '$home' and kind regexp '$2' and remark is null
        union all select distinct concat('kept for the way back: ', migration, ' ', step) from zdm.former where home = '$home' and '$3' = 'yes' and migration <> 'stays'
        union all select distinct concat('owned: ', migration, ' ', step) from zdm.owned where home = '$home' and '$3' = 'yes' and migration <> 'stays'
        union all select concat('sync ', trigger_name) from zdm.sync where home = '$home'" | { grep -vxF -f "$dir/left-before" || true; }
}
# What is said of a CHECK that does not come back stays.
hidden_of() { ask "$1" "select count(*) from zdm.hidden where home = database() and migration = '$2' and remark is null"; } # hidden_of SHARD RUNBOOK
