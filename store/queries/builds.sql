-- name: job.get
SELECT j.data, n.next FROM jobs j JOIN numbers n ON n.job = j.name WHERE j.name = ?;

-- name: job.list
SELECT j.data, n.next FROM jobs j JOIN numbers n ON n.job = j.name ORDER BY j.name;

-- name: job.insert
INSERT INTO jobs (name, data) VALUES (?, ?) ON CONFLICT (name) DO NOTHING;

-- name: job.number
INSERT INTO numbers (job, next) VALUES (?, 1) ON CONFLICT (job) DO NOTHING;

-- name: job.update
UPDATE jobs SET data = ? WHERE name = ?;

-- name: job.delete
DELETE FROM jobs WHERE name = ?;

-- name: job.unfinished
SELECT number FROM builds WHERE job = ? AND state IN ('queued', 'running') ORDER BY number LIMIT 1;

-- name: job.delete_builds
DELETE FROM builds WHERE job = ?;

-- name: job.take_number
UPDATE numbers SET next = next + 1 WHERE job = ? AND EXISTS (SELECT 1 FROM jobs WHERE name = numbers.job) RETURNING next - 1;

-- name: build.insert
INSERT INTO builds (job, number, state, data) VALUES (?, ?, ?, ?);

-- name: build.get
SELECT id, data FROM builds WHERE job = ? AND number = ?;

-- name: build.key
SELECT id FROM builds WHERE job = ? AND number = ?;

-- name: build.update
UPDATE builds SET state = ?, data = ? WHERE id = ?;

-- name: build.delete
DELETE FROM builds WHERE id = ?;

-- name: build.newest
SELECT id, data FROM builds ORDER BY id DESC LIMIT ?;

-- name: build.newest_in_state
SELECT id, data FROM builds WHERE state = ? ORDER BY id DESC LIMIT ?;

-- name: build.newest_of_job
SELECT id, data FROM builds WHERE job = ? AND number < ? ORDER BY number DESC LIMIT ?;

-- name: build.newest_of_job_in_state
SELECT id, data FROM builds WHERE job = ? AND state = ? AND number < ? ORDER BY number DESC LIMIT ?;

-- name: build.unfinished
SELECT data FROM builds WHERE state IN ('queued', 'running') ORDER BY id;

-- name: stage.put
INSERT INTO stages (build, stage, position, data) VALUES (?, ?, ?, ?)
ON CONFLICT (build, stage) DO UPDATE SET position = excluded.position, data = excluded.data;

-- name: stage.list
SELECT data FROM stages WHERE build = ? ORDER BY position, stage;

-- name: artifact.put
INSERT INTO artifacts (build, path, data) VALUES (?, ?, ?) ON CONFLICT (build, path) DO UPDATE SET data = excluded.data;

-- name: artifact.list
SELECT data FROM artifacts WHERE build = ? ORDER BY path;

-- name: artifact.all
SELECT data FROM artifacts;

-- name: stash.unfinished
SELECT DISTINCT s.digest FROM stashes s JOIN builds b ON b.id = s.build WHERE b.state IN ('queued', 'running');

-- name: stash.put
INSERT INTO stashes (build, name, digest) VALUES (?, ?, ?) ON CONFLICT (build, name) DO UPDATE SET digest = excluded.digest;

-- name: stash.get
SELECT digest FROM stashes WHERE build = ? AND name = ?;
