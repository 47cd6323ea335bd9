-- The clusters in which runs had their scratch namespaces: a sweep looks there,
-- too. As JSON: a kubeconfig file and a context, where they were named.
CREATE TABLE clusters (
    cluster       TEXT COLLATE "C" NOT NULL PRIMARY KEY,
    first_used_at BIGINT NOT NULL
);
