-- +goose Up

-- How long work took, by the nodes it ran on. used grows with every write.
CREATE TABLE works (
    work TEXT NOT NULL PRIMARY KEY,
    data TEXT NOT NULL,
    used INTEGER NOT NULL
) WITHOUT ROWID;
CREATE UNIQUE INDEX works_used ON works (used);

-- +goose Down

DROP TABLE works;
