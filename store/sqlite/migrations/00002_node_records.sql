-- +goose Up

-- What happened to nodes, oldest first.
CREATE TABLE node_records (
    node TEXT    NOT NULL,
    seq  INTEGER NOT NULL,
    data TEXT    NOT NULL,
    PRIMARY KEY (node, seq)
) WITHOUT ROWID;

-- +goose Down

DROP TABLE node_records;
