-- The rights of the agent's account on one MySQL or MariaDB shard, and nothing more. Run once per database, as an account
-- that may grant all of it, after writing the names of your own into it:
--
--   sed -e 's/`shop`/`YOUR_DATABASE`/g' -e "s/'zdm_agent'@'%'/'zdm_agent'@'10.0.0.%'/g" mysql-grants.sql | mysql --comments
--
-- Make the account first, with a password or a certificate, and give the agent both in its option file:
--
--   CREATE USER 'zdm_agent'@'%' IDENTIFIED BY '…' REQUIRE SSL;
--
-- Lines in /*M! … */ are for MariaDB (10.6 and later) alone, those in /*!80… */ for MySQL alone: each server skips what is
-- the other's.
--
-- Where the binary log is on, the server asks for one thing more, in my.cnf, because triggers are made:
--
--   log_bin_trust_function_creators = 1

-- The journal, the clones on which statements are tried, and what rollbacks keep. The application needs no right on it.
CREATE DATABASE IF NOT EXISTS zdm CHARACTER SET utf8mb4 COLLATE utf8mb4_bin;
GRANT SELECT, INSERT, UPDATE, DELETE, CREATE, ALTER, DROP, INDEX, REFERENCES ON zdm.* TO 'zdm_agent'@'%';

-- The application's database: rows are copied, deleted, and brought back from what was kept.
GRANT SELECT, INSERT, UPDATE, DELETE ON `shop`.* TO 'zdm_agent'@'%';
-- What the statements of a plan do, and what hides a table by its name.
GRANT CREATE, ALTER, DROP, INDEX, REFERENCES ON `shop`.* TO 'zdm_agent'@'%';
-- The triggers that keep old and new columns in step; to see the application's own.
GRANT TRIGGER ON `shop`.* TO 'zdm_agent'@'%';
-- A table that is renamed has its second name from a view until all code uses it: zdmctl new --from 'RENAME TABLE …'.
GRANT CREATE VIEW ON `shop`.* TO 'zdm_agent'@'%';
-- To see views and scheduled events that use what a plan changes: servers show them to nobody else.
GRANT SHOW VIEW, EVENT ON `shop`.* TO 'zdm_agent'@'%';

-- Triggers run as whoever is their definer, whatever becomes of the agent's account: a locked account that nobody can
-- log in with, and that may do what a trigger does and nothing more.
CREATE USER IF NOT EXISTS 'zdm_definer'@'localhost' ACCOUNT LOCK;
GRANT TRIGGER, SELECT, UPDATE ON `shop`.* TO 'zdm_definer'@'localhost';
-- To make them in that account's name. MySQL before 8.2 calls it SET_USER_ID; no comment is skipped by later versions.
/*M! GRANT SET USER ON *.* TO 'zdm_agent'@'%' */;
/*!80200 GRANT SET_ANY_DEFINER ON *.* TO 'zdm_agent'@'%' */;
/*!80000 SET @zdm_grant = IF(@@version + 0 < 8.2, "GRANT SET_USER_ID ON *.* TO 'zdm_agent'@'%'", 'DO 0') */;
/*!80000 PREPARE zdm_grant FROM @zdm_grant */;
/*!80000 EXECUTE zdm_grant */;
/*!80000 DEALLOCATE PREPARE zdm_grant */;

-- To see whether it is there and may do that still: otherwise every write of the application would fail. No passwords.
GRANT SELECT (Host, User, Select_priv, Update_priv, Trigger_priv) ON mysql.user TO 'zdm_agent'@'%';
GRANT SELECT ON mysql.db TO 'zdm_agent'@'%';
GRANT SELECT ON mysql.tables_priv TO 'zdm_agent'@'%';

-- To name the session that is in the way of a change: open transactions, statements, and who holds which table.
GRANT PROCESS ON *.* TO 'zdm_agent'@'%';
GRANT SELECT ON performance_schema.* TO 'zdm_agent'@'%';

-- To see how far replicas are behind.
/*M! GRANT BINLOG MONITOR, REPLICA MONITOR ON *.* TO 'zdm_agent'@'%' */;
/*!80000 GRANT REPLICATION CLIENT ON *.* TO 'zdm_agent'@'%' */;
