-- name: node.put
INSERT INTO nodes (name, data) VALUES (?, ?) ON CONFLICT (name) DO UPDATE SET data = excluded.data;

-- name: node.delete
DELETE FROM nodes WHERE name = ?;

-- name: node.list
SELECT data FROM nodes ORDER BY name;

-- name: record.add
INSERT INTO node_records (node, seq, data)
SELECT n.name, (SELECT COALESCE(MAX(r.seq), 0) + 1 FROM node_records r WHERE r.node = n.name), ? FROM nodes n WHERE n.name = ?;

-- name: record.trim
DELETE FROM node_records WHERE node = ? AND seq <= (SELECT MAX(r.seq) FROM node_records r WHERE r.node = ?) - ?;

-- name: record.delete
DELETE FROM node_records WHERE node = ?;

-- name: record.list
SELECT data FROM node_records WHERE node = ? ORDER BY seq DESC LIMIT ?;

-- name: item.put
INSERT INTO items (id, affinity, data) VALUES (?, ?, ?)
ON CONFLICT (id) DO UPDATE SET affinity = excluded.affinity, data = excluded.data;

-- name: item.delete
DELETE FROM items WHERE id = ?;

-- name: item.list
SELECT data FROM items ORDER BY id;

-- name: item.affinity
SELECT affinity FROM items WHERE id = ?;

-- name: lease.newest
SELECT COALESCE(MAX(epoch), 0) FROM leases WHERE item = ?;

-- name: lease.insert
INSERT INTO leases (item, epoch, state, data) VALUES (?, ?, ?, ?);

-- name: lease.update
UPDATE leases SET state = ?, data = ? WHERE item = ? AND epoch = ?;

-- name: lease.delete_older
DELETE FROM leases WHERE item = ? AND epoch < ?;

-- name: lease.delete_ended
DELETE FROM leases WHERE item = ? AND state IN ('lost', 'done');

-- name: lease.list
SELECT l.data FROM leases l WHERE l.epoch = (SELECT MAX(m.epoch) FROM leases m WHERE m.item = l.item) ORDER BY l.item;

-- name: affinity.put
INSERT INTO affinities (affinity, node, used) VALUES (?, ?, (SELECT COALESCE(MAX(used), 0) + 1 FROM affinities))
ON CONFLICT (affinity) DO UPDATE SET node = excluded.node, used = excluded.used;

-- name: affinity.count
SELECT COUNT(*) FROM affinities;

-- name: affinity.trim
DELETE FROM affinities WHERE used <= (SELECT used FROM affinities ORDER BY used DESC LIMIT 1 OFFSET ?);

-- name: affinity.list
SELECT affinity, node FROM affinities ORDER BY used DESC LIMIT ?;
