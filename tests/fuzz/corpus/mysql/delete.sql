DELETE FROM logs WHERE created_at < NOW() - INTERVAL 90 DAY AND kind IN ('a', "b");

DELETE FROM logs AS l WHERE l.kind LIKE 'x\_%';
