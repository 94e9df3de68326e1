# Shared by the tests of drafts: SQL is made a runbook by `zdmctl new --from`, which is carried out as it was written, forward
# to its switch, back to the start, forward to its end, back behind its switch and to its end again, while an application
# works that names its columns: the old release until the switch, the new one from there on. Sourced behind lib.bash, on a
# fleet whose first shard is $s.
# shellcheck shell=bash

postgresql_client() { "$top/deploy/localfleet" psql "$dir" "$1" -qXAt; }
mysql_client() { "$top/deploy/localfleet" sql "$dir" "$1"; }
write() { # until DIR/stop is there
    while [ ! -e "$dir/stop" ]; do cat "$dir/app.sql" && sleep 0.02; done |
        "${engine}_client" $s >/dev/null 2>"$dir/writer.err"
}
# Each release says in the database that it is the one that runs: what the one before sent has ended then.
releases=0
release() { # release STATEMENTS
    printf "%s\nupdate app set released = %s where id = 1;\n" "$1" $((++releases)) >"$dir/next.sql"
    mv "$dir/next.sql" "$dir/app.sql"
}
is_released() { [ ! -e "/proc/$writer" ] || [ "$(sql $s 'select released from app')" = "$releases" ]; }
use_new() {
    release "$1"
    eventually 30 "$m: the new release" is_released
}
untouched() { :; } # untouched TABLE: its rows that no release writes; the tests that have such say which they are

class_of() { jq -r ".phases[$2 - 1].class" <<<"$1"; }
act() { # act WHAT COMMAND…
    local what=$1
    shift
    zdmctl "$@" >"$dir/out" 2>&1 || fail "$m: $what: $(cat "$dir/out")"
}
enter() { # enter P
    if [ "$(jq ".phases[$1 - 1].approvals" <<<"$plan")" -gt 0 ]; then
        act "approval of $1" approve "$m" --phase "$1" --runbook "$dir/$m.md" --yes
    fi
    act "to phase $1" advance "$m" --all-shards
    zdmctl wait "$m" --for "phase=$1" --timeout 60s || fail "$m did not reach phase $1: $(zdmctl status "$m")"
}
go_back() { # go_back P
    act "back to $1" rollback "$m" --all-shards --to "$1" --flag-off --yes
    zdmctl wait "$m" --for rolled-back --timeout 60s || fail "$m did not go back to $1: $(zdmctl status "$m")"
}

draft() { # draft ID SETUP FROM OLD NEW WRONG [TYPE]: WRONG selects what must not be there in the end
    m=$1
    local p n last=0 table before
    table=$(sed -nE '1s/^create table ([a-z_]+) .*/\1/p' <<<"$2")
    sql $s "create table if not exists app (id int primary key, released int)" 2>/dev/null
    sql $s "delete from app; insert into app values (1, 0); $2" >/dev/null
    before=$(untouched "$table")
    release "$4"
    rm -f "$dir/stop"
    write &
    local writer=$!
    act new new --engine "$engine" --from "$3" --id "$m" ${7:+--type "$7"} -o "$dir/$m.md"
    plan=$(zdmctl plan "$dir/$m.md" -o json) || fail "$m: the draft does not compile: $(zdmctl plan "$dir/$m.md" 2>&1)"
    n=$(jq '[.phases[] | select(.class != "purge")] | length' <<<"$plan")
    act submit submit "$dir/$m.md"
    for p in $(seq "$n"); do
        case $(class_of "$plan" "$p") in expand | migrate) enter "$p" && last=$p ;; esac
    done
    if [ "$last" -eq 0 ]; then # it only takes away: back from its very end, once, while the old release still runs
        for p in $(seq "$n"); do enter "$p"; done
        go_back $((n - 1))
    fi
    go_back 0
    is "$(untouched "$table")" "$before" "$m: all is there again on the way back"
    act "submit again" submit "$dir/$m.md"
    for p in $(seq "$n"); do
        if [ "$p" -eq $((last + 1)) ] && [ "$(class_of "$plan" "$p")" = contract ]; then use_new "$5"; fi
        enter "$p"
        if [ "$(class_of "$plan" "$p")" = switch ]; then use_new "$5"; fi
    done
    if [ "$n" -gt 1 ] && [ "$(class_of "$plan" $((n - 1)))" = switch ]; then
        go_back $((n - 1))
        act resume resume "$m" --all-shards
        enter "$n"
    fi
    touch "$dir/stop"
    wait $writer || fail "$m: the application died: $(cat "$dir/writer.err")"
    is "$(cat "$dir/writer.err")" '' "$m: no statement of the application failed"
    is "$(sql $s "select count(*) from ($6) as wrong")" 0 "$m: every row is right"
    if [ "$(jq '[.phases[] | select(.class == "purge")] | length' <<<"$plan")" -gt 0 ]; then
        act purge purge "$m" --now --yes
    fi
    zdmctl wait "$m" --for done --timeout 60s || fail "$m does not end: $(zdmctl status "$m")"
}
