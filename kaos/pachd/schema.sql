-- Everything the engine knows but the content of files. Times are nanoseconds since the epoch.

-- AUTOINCREMENT: ids are never used again, so what remembers one (a subscription, say) can't mistake another for it.

CREATE TABLE IF NOT EXISTS projects (
    name        TEXT PRIMARY KEY,
    description TEXT NOT NULL,
    created     INTEGER NOT NULL
) STRICT;
INSERT OR IGNORE INTO projects VALUES ('default', '', CAST(strftime('%s', 'now') AS INTEGER) * 1000000000);

CREATE TABLE IF NOT EXISTS repos (
    id          INTEGER PRIMARY KEY AUTOINCREMENT,
    project     TEXT NOT NULL REFERENCES projects (name),
    name        TEXT NOT NULL,
    type        TEXT NOT NULL,                      -- user, meta or spec
    description TEXT NOT NULL,
    created     INTEGER NOT NULL,
    UNIQUE (project, name, type)
) STRICT;

CREATE TABLE IF NOT EXISTS commits (
    id          INTEGER PRIMARY KEY AUTOINCREMENT,
    commit_set  TEXT NOT NULL,                      -- 32 hex: the transaction that made it
    repo        INTEGER NOT NULL REFERENCES repos (id) ON DELETE CASCADE,
    branch      TEXT NOT NULL,                      -- where it was made; the branch may have gone since
    parent      INTEGER REFERENCES commits (id) ON DELETE SET NULL,
    origin      INTEGER NOT NULL,                   -- pfs_v2.OriginKind
    description TEXT NOT NULL,
    started     INTEGER NOT NULL,
    finishing   INTEGER,
    finished    INTEGER,
    error       TEXT NOT NULL DEFAULT '',
    root        TEXT NOT NULL,                      -- trees.hash; of an open commit: what is written so far
    UNIQUE (repo, commit_set)
) STRICT;
CREATE INDEX IF NOT EXISTS commits_by_set ON commits (commit_set);
CREATE INDEX IF NOT EXISTS commits_by_parent ON commits (parent);

CREATE TABLE IF NOT EXISTS branches (
    id          INTEGER PRIMARY KEY AUTOINCREMENT,
    repo        INTEGER NOT NULL REFERENCES repos (id) ON DELETE CASCADE,
    name        TEXT NOT NULL,
    head        INTEGER REFERENCES commits (id) ON DELETE SET NULL,
    created     INTEGER NOT NULL,
    UNIQUE (repo, name)
) STRICT;
CREATE INDEX IF NOT EXISTS branches_by_head ON branches (head);

-- Direct provenance only; what is transitive is computed.
CREATE TABLE IF NOT EXISTS branch_provenance (
    branch      INTEGER NOT NULL REFERENCES branches (id) ON DELETE CASCADE,
    upstream    INTEGER NOT NULL REFERENCES branches (id) ON DELETE CASCADE,
    PRIMARY KEY (branch, upstream)
) STRICT, WITHOUT ROWID;
CREATE INDEX IF NOT EXISTS branch_subvenance ON branch_provenance (upstream);

CREATE TABLE IF NOT EXISTS commit_provenance (
    commit_id   INTEGER NOT NULL REFERENCES commits (id) ON DELETE CASCADE,
    upstream    INTEGER NOT NULL REFERENCES commits (id) ON DELETE CASCADE,
    PRIMARY KEY (commit_id, upstream)
) STRICT, WITHOUT ROWID;
CREATE INDEX IF NOT EXISTS commit_subvenance ON commit_provenance (upstream);

-- Merkle trees: a directory is named by the SHA-256 of its entries, so equal directories are stored once.
CREATE TABLE IF NOT EXISTS trees (
    hash        TEXT PRIMARY KEY,
    entries     TEXT NOT NULL,                      -- JSON: [[name, kind, hash, bytes], …], sorted by name
    bytes       INTEGER NOT NULL                    -- of all files below
) STRICT, WITHOUT ROWID;

-- Transactions over the wire that are not finished: the requests to replay.
CREATE TABLE IF NOT EXISTS transactions (
    id          TEXT PRIMARY KEY,
    started     INTEGER NOT NULL,
    requests    BLOB NOT NULL                       -- a transaction_v2.TransactionInfo holding them
) STRICT;
