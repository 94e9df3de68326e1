ALTER TABLE users ADD slug varchar(100), ADD token char(36), ADD n int NOT NULL DEFAULT 0;

UPDATE users u SET slug = CONCAT(LOWER(TRIM(u.name)), '-', u.id) WHERE u.active AND u.slug IS NULL;
UPDATE users SET token = UUID();
UPDATE users SET n = COALESCE(m, 0) WHERE NOT (n <=> COALESCE(m, 0));
CREATE INDEX users_slug ON users (slug);
