-- name: user.insert
INSERT INTO users (name, password, data) VALUES (?, ?, ?) ON CONFLICT (name) DO NOTHING;

-- name: user.update
UPDATE users SET password = ?, data = ? WHERE name = ?;

-- name: user.get
SELECT password, data FROM users WHERE name = ?;

-- name: user.list
SELECT password, data FROM users ORDER BY name;

-- name: user.delete
DELETE FROM users WHERE name = ?;

-- name: user.delete_tokens
DELETE FROM tokens WHERE owner = ?;

-- name: token.insert
INSERT INTO tokens (id, hash, kind, owner, node, name, scopes, created, expires, last_used, used_at)
VALUES (?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?) ON CONFLICT DO NOTHING;

-- name: token.get
SELECT id, hash, kind, owner, node, name, scopes, created, expires, last_used, used_at FROM tokens WHERE hash = ?;

-- name: token.list
SELECT id, hash, kind, owner, node, name, scopes, created, expires, last_used, used_at FROM tokens ORDER BY created, id;

-- name: token.list_owner
SELECT id, hash, kind, owner, node, name, scopes, created, expires, last_used, used_at FROM tokens WHERE owner = ? ORDER BY created, id;

-- name: token.list_node
SELECT id, hash, kind, owner, node, name, scopes, created, expires, last_used, used_at FROM tokens WHERE node = ? ORDER BY created, id;

-- name: token.delete
DELETE FROM tokens WHERE id = ?;

-- name: token.touch
UPDATE tokens SET last_used = ? WHERE id = ? AND last_used < ?;

-- name: token.use
UPDATE tokens SET used_at = ? WHERE id = ? AND used_at = 0;
