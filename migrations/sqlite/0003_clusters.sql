-- The clusters in which runs had their scratch namespaces: a sweep looks there,
-- too. As JSON: a kubeconfig file and a context, where they were named.
CREATE TABLE clusters (
    cluster       TEXT    NOT NULL PRIMARY KEY,
    first_used_at INTEGER NOT NULL
) STRICT, WITHOUT ROWID;
