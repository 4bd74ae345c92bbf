-- name: work.put
INSERT INTO works (work, data, used) VALUES (?, ?, (SELECT COALESCE(MAX(used), 0) + 1 FROM works))
ON CONFLICT (work) DO UPDATE SET data = excluded.data, used = excluded.used;

-- name: work.count
SELECT COUNT(*) FROM works;

-- name: work.trim
DELETE FROM works WHERE used NOT IN (SELECT used FROM works ORDER BY used DESC LIMIT ?);

-- name: work.list
SELECT data FROM works ORDER BY used DESC LIMIT ?;
