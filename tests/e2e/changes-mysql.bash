# The changes on MySQL and MariaDB: sourced by changes.
# shellcheck shell=bash disable=SC2034,SC2154

fleet 2
runbooks=$top/tests/changes/mysql
client() { "$top/deploy/localfleet" sql "$dir" "$1"; }
# Without what waits for its purge, and what no rollback takes back: wider types, and NOT NULL where new code wrote NULL.
schema() {
    local t
    for t in $(sql "$1" "select table_name from information_schema.tables where table_schema = database() and table_name not like 'zdm%' order by 1"); do
        sql "$1" "show create table $t" | grep -v 'INVISIBLE\|IGNORED' | sed -E 's/,$//; s/ AUTO_INCREMENT=[0-9]+//; s/(`name` varchar)\(50\)/\1(40)/; s/(`phone` varchar.40.) (NOT|DEFAULT) NULL/\1/'
    done
}

# ---- what was there, what both releases do, and rows that must not be there in the end ----

key='bigint auto_increment primary key'
any="set @any = 1 + floor(rand() * ($rows - 1));"

change 01-django-not-null "create table library_branch (id $key, name varchar(40));
    create table library_loan (id $key, branch_id bigint, number bigint unsigned not null default (uuid_short()), due date,
        constraint library_loan_branch_fk foreign key (branch_id) references library_branch (id));
    insert into library_branch (name) values ('Main'), ('North'), ('South');
    insert into library_loan (branch_id, number, due) select nullif(i % 3, 0), i, current_date + interval i % 30 day from $(series "$rows")" \
    "$any insert into library_loan (branch_id, due) values (2, current_date);
     update library_loan set due = due + interval 1 day where id = @any;
     select count(*) from library_loan where due = current_date;" "" \
    "library_loan where branch_id is null"

change 03-discourse-excerpt "create table posts (id $key, topic_id bigint not null, post_number int not null default 1, raw text not null, deleted_at timestamp null);
    insert into posts (topic_id, raw, deleted_at) select i % 50, repeat(concat('Post ', i, ' '), 200), case when i % 9 = 0 then now() end
    from $(series "$rows")" \
    "$any insert into posts (topic_id, raw) values (7, repeat('Hello ', 90));
     update posts set raw = concat('Edited: ', left(raw, 2000)) where id = @any;
     update posts set deleted_at = now() where id = @any;" \
    "$any insert into posts (topic_id, raw, excerpt) values (7, repeat('Hello ', 90), left(repeat('Hello ', 90), 400));
     update posts set raw = concat('Again: ', left(raw, 2000)), excerpt = left(raw, 400) where id = @any;" \
    "posts where $(differs excerpt 'left(raw, 400)')"

change 04-status-words "create table orders (id $key, status varchar(20) not null default 'new', total int not null default 0);
    insert into orders (status) select elt(1 + i % 5, 'new', 'PAID', 'paid', 'shipped', 'lost?') from $(series "$rows")" \
    "$any insert into orders (status) values ('paid'); insert into orders (total) values (1);
     update orders set status = 'shipped' where id = @any;" \
    "$any insert into orders (state) values ('paid'); update orders set state = 'shipped' where id = @any;" \
    "orders where state is null or (id <= $rows and id % 5 = 4 and state not in ('unknown', 'shipped'))"

change 06-purge-deleted "create table messages (id $key, body varchar(40), deleted_at datetime, key messages_deleted (deleted_at));
    insert into messages (body, deleted_at) select concat('m', i), case when i % 4 = 0 then now() - interval i % 60 day end from $(series "$rows")" \
    "$any insert into messages (body) values ('n');
     update messages set deleted_at = now() where id = @any and deleted_at is null;" "" \
    "messages where deleted_at < now() - interval 31 day"

change 08-rename-column "create table people (id $key, nick varchar(80), active boolean not null default true, key people_nick (nick));
    insert into people (nick) select concat('p', i) from $(series "$rows")" \
    "$any insert into people (nick) values ('n'); update people set nick = left(concat(nick, 'x'), 80) where id = @any;
     select count(*) from people where nick like 'p7%';" \
    "$any insert into people (handle) values ('n'); update people set handle = left(concat(handle, 'y'), 80) where id = @any;
     select count(*) from people where handle like 'p7%';" \
    "people where handle is null"

change 11-small-changes "create table members (id $key, name varchar(40) not null, phone varchar(40) not null, lang varchar(8) default 'de', key members_phone_idx (phone));
    insert into members (name, phone) select concat('Member ', i), i from $(series "$rows")" \
    "$any insert into members (name, phone) values ('N', '1'); update members set name = 'M' where id = @any;" \
    "$any insert into members (name) values ('N'); select count(*) from members where name like 'Member 7%';" \
    "members where lang = 'xx'"
counting=()
