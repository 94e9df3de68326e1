-- what would be wrong
SELECT 1 FROM users u JOIN teams t ON t.id = u.team_id WHERE u.name != "x\n" && u.name LIKE 'a\_%';
WITH x AS (SELECT count(*) AS n FROM users) SELECT 1 FROM x WHERE n > 5;
