CREATE TABLE notes (a int);
