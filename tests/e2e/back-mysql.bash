# What goes there and back again on MySQL and MariaDB: tables, runbooks of every kind that they have, and what a stop looks
# like. Sourced by back, which has rows.
# shellcheck shell=bash disable=SC2034,SC2154

everywhere "
create table teams (id bigint primary key, name varchar(40) not null);
create table users (id $serial, name varchar(255) not null comment 'what the person is called', email varchar(255) not null,
    status varchar(20), email_verified_at timestamp null, team_id bigint not null default 1, created_at $now_column,
    unique key users_email_key (email), key users_name (name(20)), key users_status (status, created_at desc), key users_team (team_id),
    constraint users_name_check check (name <> 'nobody'), constraint users_team_fkey foreign key (team_id) references teams (id));
create table orders (id bigint primary key, user_id bigint not null, note varchar(40) not null default 'none', remark varchar(40),
    created_at $now_column, key orders_note (note(10), created_at), key orders_remark (remark, created_at), unique key orders_remark_once (remark));
create table old_orders (id bigint primary key, user_id bigint not null, body varchar(40),
    key old_orders_user (user_id), constraint old_orders_user_fkey foreign key (user_id) references users (id));
insert into teams values (1, 'red'), (2, 'blue'), (3, 'green');
insert into users (name, email, status, email_verified_at, team_id)
    select concat('user ', i), concat('user', i, '@example.com'), case when i % 3 > 0 then 'new' end,
    case when i % 2 > 0 then '2024-02-29 12:00:00' end, 1 + i % 3 from $(series "$rows");
insert into orders (id, user_id, remark) select i, i, case when i % 5 > 0 then concat('remark ', i) end from $(series "$rows");
insert into old_orders select i, i, repeat('x', i % 40) from $(series "$rows")"

sed '/^grace:/d; s/^id: .*/id: email-verified/' "$top/tests/article/mysql/step-2-expand-contract.md" >"$dir/email-verified.md"
{ front invoices && cat <<'MD'; } >"$dir/invoices.md"
# Orders are billed: what is new, and what comes back by itself

## Phase 1: Expand
```sql
CREATE TABLE invoices (id bigint NOT NULL PRIMARY KEY, total decimal(10,2) NOT NULL DEFAULT 0) COMMENT 'what was billed';
ALTER TABLE orders ADD COLUMN invoice_id bigint NULL COMMENT 'what it was billed with' AFTER user_id,
  ADD COLUMN paid boolean NOT NULL DEFAULT false;
CREATE INDEX orders_invoice ON orders (invoice_id, created_at DESC);
CREATE UNIQUE INDEX orders_invoice_once ON orders (invoice_id, id);
ALTER TABLE orders ADD CONSTRAINT orders_invoice_fkey FOREIGN KEY (invoice_id) REFERENCES invoices (id);
```
```sql {visible}
ALTER TABLE orders ADD COLUMN tries int NOT NULL DEFAULT 0;
```
```sql {as-is lock=short}
CREATE VIEW unpaid AS SELECT id, user_id FROM orders WHERE NOT paid;
```
```sql {check}
SELECT 1 FROM DUAL WHERE NOT EXISTS (SELECT 1 FROM information_schema.tables WHERE table_schema = database() AND table_name = 'unpaid');
```
```sql {rollback}
DROP VIEW unpaid;
```

## Phase 2: Migrate
Reads and writes go on while the rows are looked through for one without its user.
```sql
ALTER TABLE orders ADD INDEX orders_user (user_id);
ALTER TABLE orders ADD CONSTRAINT orders_user_fkey FOREIGN KEY (user_id) REFERENCES users (id) ON DELETE RESTRICT;
ALTER TABLE orders ALTER COLUMN note SET DEFAULT 'ordered';
ALTER TABLE orders MODIFY remark varchar(60);
ALTER TABLE orders COMMENT = 'what was ordered, and billed';
```
MD
{ front status-not-null && cat <<'MD'; } >"$dir/status-not-null.md"
# Every user has a status

## Phase 1: Backfill
```sql {name=fill batch=500}
UPDATE users SET status = 'active' WHERE status IS NULL;
```

## Phase 2: Tighten
```sql {rewrite-ok}
ALTER TABLE users MODIFY status varchar(20) NOT NULL;
```
MD
{ front clear-up && cat <<'MD'; } >"$dir/clear-up.md"
# What nobody needs any more

## Phase 1: Clean up
```sql
DROP INDEX orders_note ON orders;
ALTER TABLE orders ALTER COLUMN note DROP DEFAULT;
ALTER TABLE users DROP FOREIGN KEY users_team_fkey;
DROP TABLE old_orders;
```

## Phase 2: Remove
```sql {batch=300}
DELETE FROM orders WHERE remark IS NULL;
```
An index of the column alone goes with it; one that it shares goes before it.
```sql
DROP INDEX orders_remark ON orders;
ALTER TABLE orders DROP COLUMN remark;
```
MD
last=([users-full-name]=4 [invoices]=2 [email-verified]=3 [status-not-null]=2 [clear-up]=2)
runbooks=(users-full-name invoices email-verified clear-up status-not-null) purged=clear-up rounds=5
needs_approval() { [[ " email-verified.3 invoices.1 clear-up.2 " == *" $1.$2 "* ]]; }

# Without what waits for its purge. A wider type stays on the way back.
schema() {
    local t
    for t in $(sql "$1" "select table_name from information_schema.tables where table_schema = database() and table_name not like 'zdm%' order by 1"); do
        sql "$1" "show create table $t" | grep -v 'INVISIBLE\|IGNORED' | sed -E 's/,$//; s/ AUTO_INCREMENT=[0-9]+//; s/varchar\(60\)/varchar(40)/; s/_utf8mb[34]'/'/'
    done
    sql "$1" "select trigger_name, action_timing, event_manipulation, event_object_table, action_order, sha2(action_statement, 224)
        from information_schema.triggers where trigger_schema = database() order by trigger_name"
}
data() { # of the columns that were there before anything began
    local t columns
    for t in users:id,name,email,status,email_verified_at,team_id orders:id,user_id,note,remark old_orders:id,user_id,body; do
        columns=${t#*:}
        sql "$1" "select count(*), sum(crc32(concat_ws('|', quote(${columns//,/), quote(})))) from ${t%:*}"
    done | xargs
}
ignored="ignored = 'YES'"
if [ "$server" = mysql ]; then ignored="is_visible = 'NO'"; fi
n_hidden() { # columns, indexes and tables
    sql "$1" "select (select count(*) from information_schema.columns where table_schema = database() and extra like '%INVISIBLE%')
        + (select count(distinct table_name, index_name) from information_schema.statistics where table_schema = database() and $ignored)
        + (select count(*) from information_schema.tables where table_schema = database() and table_name like 'zdm%')"
}
n_triggers() { sql "$1" "select count(*) from information_schema.triggers where trigger_schema = database()"; }
