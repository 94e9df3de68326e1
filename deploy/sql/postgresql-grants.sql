-- The rights of the agent's role on one PostgreSQL shard, and nothing more. Run once per database, as a superuser:
--
--   psql -v agent=zdm_agent -v owner=app_owner -d shop -f postgresql-grants.sql
--
-- agent  the role the agent logs in with; made here when it does not exist (give it a password or a certificate yourself)
-- owner  the role that owns the application's tables; name it to the agent, too (setting owner), so that what migrations
--        make is that role's
\set ON_ERROR_STOP on

SELECT format('CREATE ROLE %I LOGIN NOSUPERUSER NOCREATEDB NOCREATEROLE', :'agent')
WHERE NOT EXISTS (SELECT FROM pg_roles WHERE rolname = :'agent') \gexec

-- Only an owner may alter a table, and membership in the owner is how PostgreSQL lends that. The agent runs nothing but
-- the SQL of a plan that an operator signed, and fixed templates of its own.
GRANT :"owner" TO :"agent";

-- The journal. The application needs no right on it: its rows pass through trigger functions without any.
CREATE SCHEMA IF NOT EXISTS zdm AUTHORIZATION :"agent";

-- What a migration drops waits in a schema of its own ("zdm_trash_…") until its grace is over.
SELECT format('GRANT CREATE ON DATABASE %I TO %I', current_database(), :'agent') \gexec

-- Statements are tried on empty temporary clones before they run; those that run as the owner, as the owner.
SELECT format('GRANT TEMPORARY ON DATABASE %I TO %I, %I', current_database(), :'agent', :'owner') \gexec

-- To name the session that holds a lock, and to see how far replicas are behind.
GRANT pg_read_all_stats TO :"agent";

-- To see where the data directory is: how much room the disk has for what a migration writes.
GRANT pg_read_all_settings TO :"agent";

-- To make an ordinary autovacuum give way to a change that needs its lock for a moment. Before PostgreSQL 15 only a
-- superuser may set it; there such a change waits until the autovacuum is through.
SELECT current_setting('server_version_num')::int >= 150000 AS can_grant_parameters \gset
\if :can_grant_parameters
GRANT SET ON PARAMETER deadlock_timeout TO :"agent";
\endif

-- Tables with row level security: either the owner's tables without FORCE ROW LEVEL SECURITY (nothing to do), or
--   ALTER ROLE zdm_agent BYPASSRLS;
