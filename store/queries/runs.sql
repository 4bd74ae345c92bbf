-- name: journal.end
SELECT b.id, (SELECT COALESCE(MAX(j.seq), 0) FROM journal j WHERE j.build = b.id) FROM builds b WHERE b.job = ? AND b.number = ?;

-- name: journal.insert
INSERT INTO journal (build, seq, data) VALUES (?, ?, ?);

-- name: journal.list
SELECT seq, data FROM journal WHERE build = ? ORDER BY seq;

-- name: journal.delete
DELETE FROM journal WHERE build = ?;

-- name: text.insert
INSERT INTO texts (build, name, text) VALUES (?, ?, ?) ON CONFLICT (build, name) DO NOTHING;

-- name: text.list
SELECT name, text FROM texts WHERE build = ?;

-- name: text.delete
DELETE FROM texts WHERE build = ?;
