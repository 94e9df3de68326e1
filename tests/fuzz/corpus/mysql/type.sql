ALTER TABLE t MODIFY name varchar(300) NOT NULL DEFAULT '' COMMENT 'x';
ALTER TABLE t CHANGE COLUMN state state enum('a',@@@@@@@@@@@@@@@@@@@@@@@@@@@@@@@@@@@@@@@@@@@@@@@@@@@@@@@@@@@@@@@@@@@@@@@@@@@@@@@@@@@@@'b','c') NOT NULL;
ALTER TABLE t COMMENT = "the table's own";

ALTER TABLE t MODIFY a int NOT NULL, MODIFY COLUMN b int NULL;
