ALTER TABLE users ADD COLUMN seen_too int;
