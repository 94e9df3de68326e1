# What a plan would meet on a fleet of MySQL or MariaDB, and on a mixed one: each finding with its rule, level, shards and
# advice; waivers; and nothing changed anywhere. Sourced behind lib.bash.
# shellcheck shell=bash disable=SC2154

fleet 3
everywhere "create table users (id $serial, name varchar(80) not null, email varchar(80), age int);
    insert into users (name, email) select concat('u', i), concat('m', i) from $(series 3000);
    create table parents (id bigint primary key); create table old (id int primary key, a int) engine = MyISAM; create table keyless (a int, b int); analyze table users"
sql shard-2 "create trigger touch before update on users for each row set new.age = length(new.name);
    update users set email = 'twice' where id in (11, 12)" >/dev/null
sql shard-3 "create view names as select name from users; create unique index one_name on users (name); alter table users add column spare int" >/dev/null

client() { mariadb --defaults-file="$dir/$1/my.cnf" --defaults-group-suffix=_admin -BN "${@:2}"; }
dump() { # dump SHARD: the application's database; what check made for itself is gone
    mariadb-dump --defaults-file="$dir/$1/my.cnf" --defaults-group-suffix=_admin --skip-dump-date --triggers "$(node "$1" dsn | grep -oE 'database=[^ ]*' | cut -d= -f2)"
    client "$1" -e "select table_name from information_schema.tables where table_schema = 'zdm' and table_name like 'judge%'"
}
for s in "${shards[@]}"; do dump "$s" >"$dir/$s.before"; done
check() { # check RUNBOOK: what is found, in DIR/json and DIR/out
    code=0
    zdmctl check "$dir/$1.md" >"$dir/out" 2>"$dir/err" || code=$?
    zdmctl check "$dir/$1.md" -o json >"$dir/json" 2>/dev/null || true
}
finds() { # finds RULE LEVEL SHARD…: on these shards and no others, with advice
    local rule=$1 level=$2
    shift 2
    is "$(jq -r --arg r "$rule" '[.findings[] | select(.rule == $r)] | "\([.[].level] | unique | join(" ")) \([.[].shards[]] | unique | join(" "))"' "$dir/json")" \
        "$level $*" "$rule: $level, $*"
    is "$(jq -r --arg r "$rule" '[.findings[] | select(.rule == $r and (.hint // "") == "")] | length' "$dir/json")" 0 "$rule: says what to do"
    grep -qF "[$rule]" "$dir/out" || grep -qF "$rule" "$dir/out" || fail "$rule is not on the page: $(cat "$dir/out")"
}

front full-name >"$dir/full-name.md"
cat >>"$dir/full-name.md" <<'MD'
# One name

## Phase 1: Expand
```sql
ALTER TABLE users ADD COLUMN full_name varchar(80);
```

## Phase 2: Migrate
```sql
UPDATE users SET full_name = name;
```

## Phase 3: Switch
Deploy.

## Phase 4: Contract
```sql
ALTER TABLE users DROP COLUMN name;
```
MD
check full-name
is "$code" 1 "check says by its exit code that there is something to see to"
finds trigger-fires warning shard-2
finds copy-constraint warning shard-3
grep -q 'shard-3' "$dir/out" || fail "the shard with one more column is not named: $(cat "$dir/out")"

front many >"$dir/many.md"
cat >>"$dir/many.md" <<'MD'
# Much that does not go

## Phase 1: Expand
```sql
CREATE UNIQUE INDEX one_email ON users (email);
ALTER TABLE users ADD COLUMN spare int;
ALTER TABLE users ADD INDEX by_age (age), ADD CONSTRAINT of_parent FOREIGN KEY (id) REFERENCES parents (id);
ALTER TABLE elsewhere ADD COLUMN a int;
```

## Phase 2: Migrate
```sql {no-sync}
UPDATE keyless SET b = a;
UPDATE old SET a = 1;
```
```sql {rewrite-ok}
ALTER TABLE users MODIFY email varchar(80) NOT NULL;
```

## Phase 3: Contract
```sql
ALTER TABLE users DROP COLUMN nothing, DROP INDEX no_index;
```
MD
sql shard-1 "update users set email = null where id = 5" >/dev/null
dump shard-1 >"$dir/shard-1.before"
check many
note "$(jq -r '.findings[] | "\(.rule) \(.level) \(.shards | join(" ")): \(.message)"' "$dir/json" | cut -c1-150)"
finds duplicate-rows error shard-2
finds null-rows error shard-1
finds already-there error shard-3
finds rows-in-the-way error shard-1 shard-2 shard-3
finds table-missing error shard-1 shard-2 shard-3
finds clone-rewrites note shard-1 shard-2 shard-3
finds no-key error shard-1 shard-2 shard-3
finds not-a-table error shard-1 shard-2 shard-3
finds column-missing error shard-1 shard-2 shard-3
finds object-missing error shard-1 shard-2 shard-3
front wide >"$dir/wide.md"
printf '# Wider\n\n## Phase 1: Expand\n```sql\nALTER TABLE users MODIFY age bigint;\n```\n' >>"$dir/wide.md"
check wide
finds clone-rewrites error shard-1 shard-2 shard-3
if grep -q 'twice' "$dir/json"; then fail "what a row holds is in what check says"; fi
ok "no contents of a row are in what check says"
for s in "${shards[@]}"; do dump "$s" | diff "$dir/$s.before" - || fail "check changed $s"; done
ok "nothing was changed on any shard, and no clone is left"

# ---- mended, and waived ----

sql shard-2 "drop trigger touch" >/dev/null
sql shard-3 "drop index one_name on users; drop view names" >/dev/null
check full-name
left=$(jq -r '[.findings[] | select(.level != "note") | .rule] | unique | join(" ")' "$dir/json")
note "left: $left"
if [ -n "$left" ]; then
    { sed '/^engines:/q' "$dir/full-name.md" && echo 'waive:' && printf '  %s: a test looks at it\n' $left && sed '1,/^engines:/d' "$dir/full-name.md"; } >"$dir/waived.md"
    zdmctl check "$dir/waived.md" >"$dir/out" 2>"$dir/err" || fail "what is waived still counts: $(cat "$dir/out" "$dir/err")"
    grep -q 'a test looks at it' "$dir/out" || fail "the reason is not shown: $(cat "$dir/out")"
    ok "what is waived does not count, and its reason is shown"
else
    is $code 0 "nothing is left to see to"
fi

# ---- one of the shards does not answer ----

kill_hard "$(node shard-2 agent_pid)"
check full-name
[ $code -ne 0 ] && grep -q shard-2 "$dir/out" || fail "a shard that nobody asked is no finding: $(cat "$dir/out")"
ok "a shard that does not answer is a finding"

# ---- a fleet of two engines ----

if [ "$server" = mariadb ]; then
    "$top/deploy/localfleet" down "$dir"
    rm -rf "${dir:?}"/*
    "$top/deploy/localfleet" up "$dir" --postgresql 1 --mariadb 1
    # shellcheck source=/dev/null
    . "$dir/env"
    sql shard-1 "create table users (id bigint generated by default as identity primary key, name varchar(80) not null)"
    sql shard-2 "create table users (id bigint auto_increment primary key, name varchar(80) not null); create trigger touch before update on users for each row set new.name = lower(new.name)"
    cat >"$dir/both.md" <<'MD'
---
id: both
engines: [postgresql, mysql]
---
# One name, on both

## Phase 1: Expand
```sql
ALTER TABLE users ADD COLUMN full_name varchar(80);
```

## Phase 2: Migrate
```sql
UPDATE users SET full_name = name;
```
MD
    check both
    note "$(jq -r '.findings[] | "\(.rule) \(.level) \(.shards | join(" ")): \(.message)"' "$dir/json" | cut -c1-150)"
    finds trigger-fires warning shard-2
    is "$(jq -r '[.findings[] | select(.level == "error" or .rule == "not-tried") | .rule] | unique | join(" ")' "$dir/json")" '' \
        "a runbook for both engines is tried on both"
fi
