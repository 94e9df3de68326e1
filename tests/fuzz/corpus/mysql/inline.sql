ALTER TABLE users ADD COLUMN code varchar(20) UNIQUE, ADD COLUMN team_id bigint REFERENCES teams (id) ON DELETE SET NULL;
