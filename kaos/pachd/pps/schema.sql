-- Pipelines, their jobs, and the datums of each. States are those of pps_v2; times are nanoseconds since the epoch.

CREATE TABLE IF NOT EXISTS pipelines (
    id          INTEGER PRIMARY KEY,
    project     TEXT NOT NULL REFERENCES projects (name),
    name        TEXT NOT NULL,
    version     INTEGER NOT NULL,
    salt        TEXT NOT NULL,                      -- kept over updates unless the user asks to reprocess
    spec        BLOB NOT NULL,                      -- a pps_v2.PipelineInfo.Details
    stopped     INTEGER NOT NULL DEFAULT 0,
    branch      INTEGER NOT NULL REFERENCES branches (id) ON DELETE CASCADE,
    created     INTEGER NOT NULL,
    UNIQUE (project, name)
) STRICT;
CREATE INDEX IF NOT EXISTS pipelines_by_branch ON pipelines (branch);

-- A job is known by its pipeline and the commit set of its output commit.
CREATE TABLE IF NOT EXISTS jobs (
    id          INTEGER PRIMARY KEY,
    pipeline    INTEGER NOT NULL REFERENCES pipelines (id) ON DELETE CASCADE,
    commit_set  TEXT NOT NULL,
    output      INTEGER NOT NULL REFERENCES commits (id) ON DELETE CASCADE,
    version     INTEGER NOT NULL,
    salt        TEXT NOT NULL,
    spec        BLOB NOT NULL,                      -- as the pipeline's was when the job was made
    state       INTEGER NOT NULL,
    reason      TEXT NOT NULL DEFAULT '',
    restarts    INTEGER NOT NULL DEFAULT 0,
    created     INTEGER NOT NULL,
    started     INTEGER,
    finished    INTEGER,
    UNIQUE (pipeline, commit_set)
) STRICT;
CREATE INDEX IF NOT EXISTS jobs_by_set ON jobs (commit_set);
CREATE INDEX IF NOT EXISTS jobs_by_output ON jobs (output);
CREATE INDEX IF NOT EXISTS jobs_unfinished ON jobs (state) WHERE finished IS NULL;

CREATE TABLE IF NOT EXISTS datums (
    job         INTEGER NOT NULL REFERENCES jobs (id) ON DELETE CASCADE,
    number      INTEGER NOT NULL,                   -- the order in which the input names them
    id          TEXT NOT NULL,                      -- 64 hex: names and paths of its files
    hash        TEXT NOT NULL,                      -- what it is skipped by: id, content of its files, salt
    files       TEXT NOT NULL,                      -- JSON: see pps/datums.py
    state       INTEGER NOT NULL,                   -- STARTING: still to be done
    root        TEXT NOT NULL DEFAULT '',           -- trees.hash of what it wrote
    nanoseconds INTEGER NOT NULL DEFAULT 0,         -- of user code
    PRIMARY KEY (job, number)
) STRICT, WITHOUT ROWID;
CREATE UNIQUE INDEX IF NOT EXISTS datums_by_id ON datums (job, id);
