ALTER TABLE users ADD full_name varchar(255) CHARACTER SET utf8mb4 COLLATE utf8mb4_bin,
  ADD COLUMN IF NOT EXISTS age int(10) unsigned NOT NULL DEFAULT '0' COMMENT 'in years, it\'s so' AFTER name,
  ADD COLUMN (note TEXT, kind enum('a','b''c') DEFAULT 'a' NOT NULL),
  ADD seen_at timestamp(3) NULL DEFAULT CURRENT_TIMESTAMP(3) ON UPDATE CURRENT_TIMESTAMP(3) FIRST;
ALTER TABLE users ADD COLUMN flag boolean DEFAULT false NOT NULL;
ALTER TABLE users ADD price decimal(10,2) DEFAULT (-1.5);
