UPDATE users SET status = 'active' WHERE status IS NULL;

UPDATE users SET n = n + 1;

UPDATE users SET seen_at = NOW(3) WHERE seen_at IS NULL AND created_at < NOW() - INTERVAL 30 DAY;
