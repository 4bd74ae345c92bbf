-- +goose Up

-- Numbers outlive their job: one name gives every number once.
CREATE TABLE numbers (
    job  TEXT NOT NULL PRIMARY KEY,
    next INTEGER NOT NULL
) WITHOUT ROWID;

CREATE TABLE jobs (
    name TEXT NOT NULL PRIMARY KEY,
    data TEXT NOT NULL
) WITHOUT ROWID;

-- id grows with every acceptance and is never used again.
CREATE TABLE builds (
    id     INTEGER PRIMARY KEY AUTOINCREMENT,
    job    TEXT NOT NULL,
    number INTEGER NOT NULL,
    state  TEXT NOT NULL,
    data   TEXT NOT NULL,
    UNIQUE (job, number)
);
CREATE INDEX builds_state ON builds (state, id);
CREATE INDEX builds_job_state ON builds (job, state, number);

CREATE TABLE stages (
    build    INTEGER NOT NULL REFERENCES builds (id) ON DELETE CASCADE,
    stage    TEXT NOT NULL,
    position INTEGER NOT NULL,
    data     TEXT NOT NULL,
    PRIMARY KEY (build, stage)
) WITHOUT ROWID;

CREATE TABLE artifacts (
    build INTEGER NOT NULL REFERENCES builds (id) ON DELETE CASCADE,
    path  TEXT NOT NULL,
    data  TEXT NOT NULL,
    PRIMARY KEY (build, path)
) WITHOUT ROWID;

CREATE TABLE stashes (
    build  INTEGER NOT NULL REFERENCES builds (id) ON DELETE CASCADE,
    name   TEXT NOT NULL,
    digest TEXT NOT NULL,
    PRIMARY KEY (build, name)
) WITHOUT ROWID;

CREATE TABLE journal (
    build INTEGER NOT NULL REFERENCES builds (id) ON DELETE CASCADE,
    seq   INTEGER NOT NULL,
    data  BLOB NOT NULL,
    PRIMARY KEY (build, seq)
) WITHOUT ROWID;

CREATE TABLE texts (
    build INTEGER NOT NULL REFERENCES builds (id) ON DELETE CASCADE,
    name  TEXT NOT NULL,
    text  TEXT NOT NULL,
    PRIMARY KEY (build, name)
) WITHOUT ROWID;

CREATE TABLE nodes (
    name TEXT NOT NULL PRIMARY KEY,
    data TEXT NOT NULL
) WITHOUT ROWID;

CREATE TABLE items (
    id       TEXT NOT NULL PRIMARY KEY,
    affinity TEXT NOT NULL,
    data     TEXT NOT NULL
) WITHOUT ROWID;

CREATE TABLE leases (
    item  TEXT NOT NULL,
    epoch INTEGER NOT NULL,
    state TEXT NOT NULL,
    data  TEXT NOT NULL,
    PRIMARY KEY (item, epoch)
) WITHOUT ROWID;

-- used grows with every grant: the node that an affinity was granted last.
CREATE TABLE affinities (
    affinity TEXT NOT NULL PRIMARY KEY,
    node     TEXT NOT NULL,
    used     INTEGER NOT NULL
) WITHOUT ROWID;
CREATE UNIQUE INDEX affinities_used ON affinities (used);

CREATE TABLE users (
    name     TEXT NOT NULL PRIMARY KEY,
    password TEXT NOT NULL,
    data     TEXT NOT NULL
) WITHOUT ROWID;

-- Times are Unix microseconds, 0 for never.
CREATE TABLE tokens (
    id        TEXT NOT NULL PRIMARY KEY,
    hash      TEXT NOT NULL UNIQUE,
    kind      TEXT NOT NULL,
    owner     TEXT NOT NULL,
    node      TEXT NOT NULL,
    name      TEXT NOT NULL,
    scopes    TEXT NOT NULL,
    created   INTEGER NOT NULL,
    expires   INTEGER NOT NULL,
    last_used INTEGER NOT NULL,
    used_at   INTEGER NOT NULL
);
CREATE INDEX tokens_owner ON tokens (owner);
CREATE INDEX tokens_node ON tokens (node);

-- +goose Down

DROP TABLE tokens;
DROP TABLE users;
DROP TABLE affinities;
DROP TABLE leases;
DROP TABLE items;
DROP TABLE nodes;
DROP TABLE texts;
DROP TABLE journal;
DROP TABLE stashes;
DROP TABLE artifacts;
DROP TABLE stages;
DROP TABLE builds;
DROP TABLE jobs;
DROP TABLE numbers;
