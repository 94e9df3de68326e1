# Every kind of statement on MySQL and MariaDB: sourced by kinds, on a fleet of one shard, $s.
# shellcheck shell=bash disable=SC2154

# ---- tables: of one shape but for the key ----

shape="ref char(36) not null default (uuid()), name varchar(200), age int not null default 30, active boolean,
    at datetime not null default '2024-01-01 23:30:00', n int not null default 0"
plain='defaults label score pair token counter dates checks drops existing bool'
quoted='`Order ``Items```'
sql $s "
$(for t in $plain; do echo "create table $t (id bigint auto_increment primary key, $shape);"; done)
create table slug (id varchar(64) collate utf8mb4_unicode_ci primary key, $shape);
create table composite (region varchar(4) not null, id bigint auto_increment, $shape, key (id), primary key (region, id));
create table nokey (id binary(20) not null, $shape, unique key (id));
create table priced (id decimal(20,4) primary key, $shape);
create table $quoted (id datetime(6) primary key, $shape);
alter table $quoted change name \`Der Name\` varchar(200);
alter table existing modify age int null default 30"

columns='age, active, at'
values="1 + i % 90, case i % 5 when 0 then null when 1 then false else true end, timestampadd(minute, i * 97, '2024-01-01')"
name="case when i % 17 > 0 then concat(' Name ', i) end"
keyed() { echo "insert into $1 ($2, $columns) select $3, $name, $values from $(series "$rows");"; } # keyed TABLE COLUMNS KEY
sql $s "$(for t in $plain; do echo "insert into $t (name, $columns) select $name, $values from $(series "$rows");"; done)
    $(keyed slug 'id, name' 'sha2(i, 224)') $(keyed composite 'region, name' 'char(97 + i % 5)') $(keyed nokey 'id, name' 'unhex(left(sha2(i, 224), 40))')
    $(keyed priced 'id, name' 'i / 7') $(keyed "$quoted" 'id, `Der Name`' "timestampadd(second, i, '2020-01-01')")
    update existing set age = null where id % 3 = 0"

# ---- the application: old code, in a session with settings of its own, on every table until told to stop ----

churn() { # churn TABLE NAME [KEY]: an expression for a key that the table does not choose itself
    local t=$1 c=$2 new=${3:-} key='' value=''
    if [ -n "$new" ]; then key='id, ' value="$new, "; fi
    if [ "$t" = composite ]; then key='region, ' value="char(97 + floor(rand() * 6)), "; fi
    cat <<SQL
insert into $t (${key}$c, age, active, at) values (${value}concat('New ', rand()), floor(rand() * 90), rand() < 0.5, now()), (${value}'Two', 20, null, now());
select id into @hit from $t order by rand() limit 1;
update $t set $c = concat(upper($c), 'x'), at = at + interval 1 hour where id = @hit;
update $t set age = 5 + floor(rand() * 80), active = not active where id = @hit;
update $t set n = n + 0, ref = uuid() where id = @hit;
insert into $t (id, ${key#id, }$c) values (@hit, ${value#"$new, "}'Upsert') on duplicate key update $c = concat($c, 'u'), age = age + 1;
select id into @hit from $t order by rand() limit 1;
delete from $t where id = @hit;
SQL
    # The key moves to the other end, where the backfill may have been or not. Only triggers can follow it there.
    case $t in counter | existing) return ;; esac
    echo "select id into @hit from $t order by rand() limit 1; update $t set id = ${new:-floor(rand() * 2000000000000) - 1000000000000} where id = @hit;"
}
{
    echo "set time_zone = '+13:00', sql_mode = 'ANSI,STRICT_ALL_TABLES';"
    for t in $plain composite; do churn "$t" name; done
    churn slug name 'uuid()'
    churn nokey name 'unhex(left(sha2(rand(), 224), 40))'
    churn priced name 'round(rand() * 1e12 - 5e11, 4)'
    churn '"Order `Items`"' '"Der Name"' "timestampadd(microsecond, floor(rand() * 1e15), '1999-01-01')"
} >"$dir/churn.sql"
write() { # write N: statements until DIR/stop is there; what fails is in DIR/writer-N.err
    while [ ! -e "$dir/stop" ]; do cat "$dir/churn.sql" && sleep 0.02; done |
        "$top/deploy/localfleet" sql "$dir" $s >/dev/null 2>"$dir/writer-$1.err"
}
write 1 &
writers=($!)
write 2 &
writers+=($!)

# ---- the runbooks ----

runbook many <<'MD'
---
# Many tables in one runbook

## Phase 1: Expand
```sql
ALTER TABLE defaults ADD COLUMN a int DEFAULT 7 NOT NULL, ADD COLUMN b varchar(40) DEFAULT 'it''s', ADD COLUMN c timestamp NULL,
  ADD COLUMN d decimal(6,2) NOT NULL DEFAULT 1.50, ADD e enum('a', 'b') NOT NULL DEFAULT 'b', ADD f json;
```
```sql {name=indexes}
CREATE INDEX defaults_name ON defaults (name(10), age DESC);
CREATE UNIQUE INDEX defaults_ref ON defaults (ref);
ALTER TABLE defaults ADD KEY defaults_active (active), ADD CONSTRAINT defaults_once UNIQUE (id, at);
```
```sql
ALTER TABLE slug ADD COLUMN slug varchar(200);
ALTER TABLE label ADD COLUMN label varchar(220);
ALTER TABLE score ADD COLUMN score bigint NOT NULL DEFAULT 0;
ALTER TABLE bool ADD COLUMN grown boolean NOT NULL DEFAULT false;
ALTER TABLE token ADD COLUMN token char(36), ADD COLUMN seen datetime;
ALTER TABLE composite ADD COLUMN full_name varchar(200);
ALTER TABLE nokey ADD COLUMN bits varchar(60) CHARACTER SET utf8mb4 COLLATE utf8mb4_bin;
ALTER TABLE dates ADD COLUMN day date, ADD COLUMN txt varchar(40);
ALTER TABLE priced ADD COLUMN label varchar(230);
```

## Phase 2: Migrate
```sql {batch=200}
UPDATE slug SET slug = coalesce(lower(trim(name)), '') WHERE slug IS NULL;
CREATE INDEX slug_slug ON slug (slug);
```
```sql {rewrite-ok}
ALTER TABLE slug MODIFY slug varchar(200) NOT NULL;
```
```sql {batch=100}
UPDATE label SET label = concat(COALESCE(name, 'none'), CASE WHEN age > 50 THEN ' old' ELSE '' END)
WHERE active AND label IS NULL AND age > 10;
```
```sql {batch=100}
UPDATE score SET score = age * 2 + 1 WHERE NOT (score <=> age * 2 + 1);
```
```sql {batch=100}
UPDATE bool SET grown = true WHERE age >= 18;
```
```sql {batch=100}
UPDATE token SET token = uuid();
UPDATE token SET seen = now() WHERE seen IS NULL;
```
```sql {no-sync batch=100}
UPDATE counter SET n = n + 1;
```
```sql {name=fill batch=100}
UPDATE composite SET full_name = name;
```
```sql {batch=100}
UPDATE nokey SET bits = concat(substring(name, 2, 3), ':', age, date_format(at, '%Y-%m-%d %H:%i'));
```
```sql {batch=100}
UPDATE dates SET day = date(at), txt = cast(at AS char);
```
```sql {batch=100}
UPDATE priced SET label = concat(name, ' ', age) WHERE label IS NULL;
```
MD
runbook pair <<'MD'
---
# Two copies in one UPDATE, both ways, and both old columns hidden
## Expand
```sql
ALTER TABLE pair ADD COLUMN full_name varchar(200), ADD COLUMN years int;
```
## Migrate
```sql {batch=100}
UPDATE pair SET full_name = name, years = age;
```
## Switch
Deploy.
## Contract
```sql
ALTER TABLE pair DROP COLUMN name, DROP COLUMN age;
```
MD
runbook quoted <<'MD'
---
# Names with spaces, quotes, capitals and letters beyond ASCII
## Phase 1: Expand
```sql
ALTER TABLE `Order ``Items``` ADD COLUMN `Voller Näme` varchar(200);
```
## Phase 2: Migrate
```sql {batch=100}
UPDATE `Order ``Items``` SET `Voller Näme` = `Der Name` WHERE `Voller Näme` IS NULL;
CREATE INDEX `Ein ``Index``` ON `Order ``Items``` (`Voller Näme`, age DESC);
```
```sql {check}
SELECT id FROM `Order ``Items``` WHERE `Voller Näme` <> `Der Name`;
```
## Phase 3: Switch
```flag
key: new-names
```
## Phase 4: Contract
```sql
ALTER TABLE `Order ``Items``` DROP COLUMN `Der Name`;
```
MD
runbook checks <<'MD'
---
# One check that holds, one that does not
## Expand
```sql {check}
SELECT id FROM checks WHERE age < 0;
```
## Migrate
```sql {check}
SELECT id, age FROM checks WHERE age < 20;
```
MD
runbook existing <<'MD'
---
# A column that the application had before: its code writes no NULL any more
## Backfill
```sql {name=fill batch=100}
UPDATE existing SET age = 0 WHERE age IS NULL;
```
```sql {check}
SELECT id FROM existing WHERE age IS NULL;
```
## Tighten
```sql {rewrite-ok}
ALTER TABLE existing MODIFY age int NOT NULL DEFAULT 30;
```
MD
runbook drops <<'MD'
---
# A column without a copy goes
## Contract
```sql
ALTER TABLE drops DROP COLUMN age;
```
MD
ok "${#migrations[@]} runbooks were taken"

# ---- through Expand and Migrate, all at once ----

for m in many pair quoted checks existing; do advance "$m"; done
for m in many pair quoted checks; do reach "$m" 1 && advance "$m"; done
for m in many pair quoted; do reach "$m" 2; done
reach existing 1
sleep 1
touch "$dir/stop"
wait "${writers[@]}" || fail "a writer ended badly: $(cat "$dir"/writer-*.err)"
is "$(cat "$dir"/writer-*.err)" '' "no statement of the application failed"

# ---- what each row must hold ----

agree slug "$(differs slug "coalesce(lower(trim(name)), '')")"
agree label "$(differs label "case when active and age > 10 then concat(coalesce(name, 'none'), case when age > 50 then ' old' else '' end) end")"
agree score "not (score <=> age * 2 + 1)"
agree bool "not (grown <=> (age >= 18))"
agree pair "$(differs full_name name) or not (years <=> age)"
agree token "token is null or seen is null"
is "$(sql $s "select count(*) - count(distinct token) from token")" 0 "token: no value twice"
agree composite "$(differs full_name name)"
agree nokey "$(differs bits "concat(substring(name, 2, 3), ':', age, date_format(at, '%Y-%m-%d %H:%i'))")"
agree priced "$(differs label "concat(name, ' ', age)")"
agree "$quoted" "$(differs '`Voller Näme`' '`Der Name`')"
agree dates "not (day <=> date(at)) or not (txt <=> cast(at as char))"
is "$(sql $s "select count(*) from counter where id between 1 and $rows and n <> 1")" 0 "counter: each row was changed once"
is "$(sql $s "select count(*) from counter where n > 1")" 0 "counter: none twice"
is "$(sql $s "select count(*) from existing where age is null")" 0 "existing: filled"
is "$(sql $s "select count(*) from defaults where not ((a, b, d, e) <=> (7, 'it''s', 1.50, 'b')) or c is not null or f is not null")" 0 \
    "defaults: every row has them"
indexes() { # indexes TABLE: beside the primary key
    sql $s "select group_concat(distinct index_name order by index_name) from information_schema.statistics
        where table_schema = database() and table_name = '$1' and index_name <> 'PRIMARY'"
}
is "$(indexes defaults) $(indexes slug) $(indexes 'Order `Items`')" \
    'defaults_active,defaults_name,defaults_once,defaults_ref slug_slug Ein `Index`' "the indexes are there"
is "$(sql $s "select is_nullable from information_schema.columns where table_schema = database() and table_name = 'slug' and column_name = 'slug'")" \
    NO "SET NOT NULL"

# ---- a check that finds rows ----

eventually 30 "the failing check" sh -c "zdmctl status checks | grep -qi 'row'"
zdmctl status checks -o json | jq -e '[.shards[].observed.phase] == [1]' >/dev/null || fail "checks passed a check that finds rows"
ok "a check that finds rows holds its phase: $(zdmctl status checks | grep -i 'row' | head -n 1 | sed 's/^ *//')"

# ---- to the end ----

sql $s "insert into existing (age) values (0)"
for m in pair quoted; do advance "$m" && reach "$m" 3 && advance "$m" && reach "$m" 4; done
advance existing && reach existing 2
advance many && reach many 3
is "$(sql $s "select count(*) from information_schema.triggers where trigger_schema = database() and event_object_table not in ('pair', 'Order \`Items\`')")" \
    0 "no trigger is left where none is needed"
sql $s "insert into pair (full_name, years) values ('Ann', 41); update pair set years = 42, full_name = 'Beth' where full_name = 'Ann';
    insert into $quoted (id, \`Voller Näme\`) values ('1970-01-01', 'Cleo')"
is "$(sql $s "select name, age from pair where full_name = 'Beth'" | xargs)" 'Beth 42' "new code's writes reach both hidden columns"
is "$(sql $s "select \`Der Name\` from $quoted where id = '1970-01-01'")" Cleo "and the one with odd names"
is "$(sql $s "select count(*) from information_schema.columns where table_schema = database() and extra like '%INVISIBLE%'")" 3 "three columns are hidden"
zdmctl plan "$dir/drops.md" >"$dir/plan"
grep -qi 'approval' "$dir/plan" || fail "the plan does not say that its phase needs approvals: $(cat "$dir/plan")"
zdmctl advance drops --all-shards >"$dir/out" 2>&1 || true
grep -q 'approval' "$dir/out" || fail "advance into a destructive phase says nothing of approvals: $(cat "$dir/out")"
sleep 1
is "$(sql $s "select count(*) from information_schema.columns where table_schema = database() and table_name = 'drops' and column_name = 'age' and extra = ''")" 1 \
    "a column without a copy stays while nobody approves: $(grep -m 1 approval "$dir/out")"

# ---- and what was done to columns that were there, and to the hidden ones, until its purge ----

zdmctl rollback existing --all-shards --yes >"$dir/out" 2>&1 || fail "rollback of existing: $(cat "$dir/out")"
zdmctl wait existing --for rolled-back --timeout 60s
is "$(sql $s "select count(*) from existing where id % 3 = 0 and age = 0 and id <= $rows")" 0 "existing holds its former values again"
[ "$(sql $s "select count(*) from existing where age is null")" -gt 0 ] || fail "no NULL came back"
for m in pair quoted; do zdmctl rollback $m --all-shards --to 3 --yes >"$dir/out" 2>&1 || zdmctl rollback $m --all-shards --yes >"$dir/out" 2>&1 || fail "rollback of $m: $(cat "$dir/out")"; done
for m in pair quoted; do zdmctl wait $m --for rolled-back --timeout 60s; done
is "$(sql $s "select name, age from pair where full_name = 'Beth'" | xargs)" 'Beth 42' "both columns are back, with what new code wrote"
is "$(sql $s "select \`Der Name\` from $quoted where id = '1970-01-01'")" Cleo "and the one with odd names"
