CREATE TABLE IF NOT EXISTS orders (
  id bigint unsigned NOT NULL AUTO_INCREMENT,
  user_id bigint NOT NULL,
  total decimal(12,2) DEFAULT 0 CHECK (total >= 0),
  doubled decimal(12,2) GENERATED ALWAYS AS (total * 2) STORED,
  note varchar(20) COLLATE utf8mb4_bin UNIQUE,
  PRIMARY KEY (id),
  UNIQUE KEY u (user_id, total),
  KEY k (note(5)),
  FULLTEXT KEY f (note),
  CONSTRAINT fk FOREIGN KEY (user_id) REFERENCES users (id) ON DELETE CASCADE,
  CONSTRAINT positive CHECK (total > 0 OR note <> 'x')
) ENGINE=InnoDB AUTO_INCREMENT=100 DEFAULT CHARSET=utf8mb4 COLLATE=utf8mb4_bin COMMENT='it''s';
ALTER TABLE orders ADD COLUMN extra int;
