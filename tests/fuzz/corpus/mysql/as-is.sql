CREATE OR REPLACE VIEW v AS SELECT id, `name` FROM users;

SELECT 1 WHERE NOT EXISTS (SELECT 1 FROM information_schema.views WHERE table_schema = DATABASE() AND table_name = "v");

DROP VIEW v;
