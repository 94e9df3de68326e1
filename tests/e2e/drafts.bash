# Shared by the tests of drafts: SQL is made a runbook by `zdmctl new --from`, which is carried out as it was written, forward
# to its switch, back to the start, and forward to its end, while an application works that names its columns: the old
# release until the switch, the new one from there on. Sourced behind lib.bash, on a fleet whose first shard is $s.
# shellcheck shell=bash

write() { # until DIR/stop is there
    while [ ! -e "$dir/stop" ]; do cat "$dir/app.sql" && sleep 0.02; done |
        "$top/deploy/localfleet" psql "$dir" $s -qXAt >/dev/null 2>"$dir/writer.err"
}
class_of() { jq -r ".phases[$2 - 1].class" <<<"$1"; }
enter() { # enter P
    if [ "$(jq ".phases[$1 - 1].approvals" <<<"$plan")" -gt 0 ]; then
        zdmctl approve "$m" --phase "$1" --runbook "$dir/$m.md" --yes >"$dir/approve.out" 2>&1 || fail "$m: approve: $(cat "$dir/approve.out")"
    fi
    zdmctl advance "$m" --all-shards >"$dir/advance.out" 2>&1 || fail "$m: advance to $1: $(cat "$dir/advance.out")"
    zdmctl wait "$m" --for "phase=$1" --timeout 60s || fail "$m did not reach phase $1: $(zdmctl status "$m")"
}

draft() { # draft ID SETUP FROM OLD NEW WRONG [TYPE]: WRONG selects what must not be there in the end
    m=$1
    local p n last=0
    sql $s "$2" >/dev/null
    printf '%s\n' "$4" >"$dir/app.sql"
    rm -f "$dir/stop"
    write &
    local writer=$!
    zdmctl new --from "$3" --id "$m" ${7:+--type "$7"} -o "$dir/$m.md" >"$dir/new.out" 2>&1 || fail "$m: new: $(cat "$dir/new.out")"
    plan=$(zdmctl plan "$dir/$m.md" -o json) || fail "$m: the draft does not compile: $(zdmctl plan "$dir/$m.md" 2>&1)"
    n=$(jq '[.phases[] | select(.class != "purge")] | length' <<<"$plan")
    zdmctl submit "$dir/$m.md" >"$dir/submit.out" 2>&1 || fail "$m: submit: $(cat "$dir/submit.out")"
    for p in $(seq "$n"); do
        case $(class_of "$plan" "$p") in expand | migrate) enter "$p" && last=$p ;; esac
    done
    if [ "$last" -eq 0 ]; then # it only takes away: back from its very end, once, while the old release still runs
        for p in $(seq "$n"); do enter "$p"; done
        zdmctl rollback "$m" --all-shards --to $((n - 1)) --yes >"$dir/rollback.out" 2>&1 || fail "$m: rollback: $(cat "$dir/rollback.out")"
        zdmctl wait "$m" --for rolled-back --timeout 60s || fail "$m did not go back behind its switch: $(zdmctl status "$m")"
    fi
    zdmctl rollback "$m" --all-shards --to 0 --flag-off --yes >"$dir/rollback.out" 2>&1 || fail "$m: rollback: $(cat "$dir/rollback.out")"
    zdmctl wait "$m" --for rolled-back --timeout 60s || fail "$m did not go back: $(zdmctl status "$m")"
    zdmctl submit "$dir/$m.md" >"$dir/submit.out" 2>&1 || fail "$m: submit again: $(cat "$dir/submit.out")"
    for p in $(seq "$n"); do
        if [ "$p" -eq $((last + 1)) ] && [ "$(class_of "$plan" "$p")" = contract ]; then use_new "$5"; fi
        enter "$p"
        if [ "$(class_of "$plan" "$p")" = switch ]; then use_new "$5"; fi
    done
    touch "$dir/stop"
    wait $writer || fail "$m: the application died: $(cat "$dir/writer.err")"
    is "$(cat "$dir/writer.err")" '' "$m: no statement of the application failed"
    is "$(sql $s "select count(*) from ($6) as wrong")" 0 "$m: every row is right"
    if [ "$(jq '[.phases[] | select(.class == "purge")] | length' <<<"$plan")" -gt 0 ]; then
        zdmctl purge "$m" --now --yes >"$dir/purge.out" 2>&1 || fail "$m: purge: $(cat "$dir/purge.out")"
    fi
    zdmctl wait "$m" --for done --timeout 60s || fail "$m does not end: $(zdmctl status "$m")"
}
use_new() {
    printf '%s\n' "$1" >"$dir/next.sql"
    mv "$dir/next.sql" "$dir/app.sql"
    sleep 0.5
}
