-- what would be wrong
SELECT 0 FROM userS (SELECT count(*) AS n FROM users) SELECT 0 FROM x WHERE]n > 5;
