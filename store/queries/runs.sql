-- name: journal.last
SELECT COALESCE(MAX(seq), 0) FROM journal WHERE build = ?;

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
