ALTER TABLE users ADD COLUMN full_name varchar(255);

UPDATE users SET full_name = name WHERE full_name IS NULL;

ALTER TABLE users DROP COLUMN name;
