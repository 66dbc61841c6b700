"""The tables of one realm's file. Views get tables of their own, made from their columns.

``operations.n`` is the order in which this node stored them, which is a causal order. ``role`` is
the one that counted for the operation when it was judged, 0 for none.
"""

REALM_SCHEMA = (
    "",  # before authority was whole: what such a file says of verdicts holds no more
    """
    CREATE TABLE chains (
        n INTEGER PRIMARY KEY, device BLOB NOT NULL, log INTEGER NOT NULL,
        UNIQUE (device, log));
    CREATE TABLE masks (n INTEGER PRIMARY KEY, mask BLOB NOT NULL UNIQUE);
    CREATE TABLE operations (
        n INTEGER PRIMARY KEY, id BLOB NOT NULL UNIQUE,
        chain INTEGER NOT NULL, seq INTEGER NOT NULL, lamport INTEGER NOT NULL,
        time_ms INTEGER NOT NULL, kind TEXT NOT NULL, document BLOB NOT NULL,
        origin BLOB NOT NULL, mask INTEGER NOT NULL, tokens INTEGER NOT NULL,
        verdict INTEGER NOT NULL, reason TEXT NOT NULL, role INTEGER NOT NULL,
        header BLOB NOT NULL, signature BLOB NOT NULL, body BLOB,
        change BLOB, applied TEXT);
    CREATE INDEX by_chain ON operations (chain, seq);
    CREATE INDEX by_document ON operations (document);
    CREATE INDEX by_kind ON operations (kind) WHERE kind IN ('record.erasure.1', 'fork.proof.1');
    CREATE INDEX held ON operations (document) WHERE applied = 'held';
    CREATE TABLE parts (
        operation INTEGER NOT NULL, position INTEGER NOT NULL, name TEXT NOT NULL, bytes BLOB,
        PRIMARY KEY (operation, position)) WITHOUT ROWID;
    CREATE TABLE subjects (
        view TEXT NOT NULL, key BLOB NOT NULL, operation INTEGER NOT NULL,
        PRIMARY KEY (view, key, operation)) WITHOUT ROWID;
    CREATE TABLE waiting (
        id BLOB PRIMARY KEY, missing BLOB NOT NULL, why TEXT NOT NULL, until_ms INTEGER NOT NULL,
        operation BLOB NOT NULL) WITHOUT ROWID;
    CREATE INDEX by_missing ON waiting (missing);
    CREATE TABLE members (
        member BLOB PRIMARY KEY, role INTEGER NOT NULL, flagged INTEGER NOT NULL) WITHOUT ROWID;
    CREATE TABLE settings (name TEXT PRIMARY KEY, value BLOB NOT NULL) WITHOUT ROWID
    """,
    """
    CREATE TABLE notices (
        member BLOB NOT NULL, operation BLOB NOT NULL, rests_on BLOB, was INTEGER NOT NULL,
        at_ms INTEGER NOT NULL, read INTEGER NOT NULL,
        PRIMARY KEY (member, operation)) WITHOUT ROWID
    """,  # local: what members who live on this node have to hear, in no hash and no bundle
    # what seals in force have settled: their verdicts never change again
    "CREATE TABLE settled (operation INTEGER PRIMARY KEY)",
    # whose it is that waits: nobody fills the table for all others
    """
    ALTER TABLE waiting ADD COLUMN author BLOB NOT NULL DEFAULT x'';
    CREATE INDEX waiting_by_author ON waiting (author)
    """,
    # local: what the makers of bundles had, as their newest bundle says
    """
    CREATE TABLE carried (
        device BLOB PRIMARY KEY, node BLOB NOT NULL, created_ms INTEGER NOT NULL,
        imported_ms INTEGER NOT NULL, ends BLOB NOT NULL) WITHOUT ROWID
    """,
    # large parts: which there are, how much of each is here, and these bytes; see `large_parts`
    """
    CREATE TABLE large (
        n INTEGER PRIMARY KEY, operation INTEGER NOT NULL, position INTEGER NOT NULL,
        hash BLOB NOT NULL, length INTEGER NOT NULL, have INTEGER NOT NULL,
        whole INTEGER NOT NULL, own INTEGER NOT NULL, giver TEXT NOT NULL,
        used_ms INTEGER NOT NULL, UNIQUE (operation, position));
    CREATE TABLE chunks (
        n INTEGER PRIMARY KEY, part INTEGER NOT NULL, first INTEGER NOT NULL, bytes BLOB NOT NULL);
    CREATE INDEX chunks_of ON chunks (part, first);
    CREATE INDEX absent_parts ON parts (operation) WHERE bytes IS NULL
    """,
    # documents whose edits, from number `since` on, were not applied yet, whatever `applied` says
    # of them: it is written once, as it nearly always comes out, and mended where it does not
    """
    CREATE TABLE behind (document BLOB PRIMARY KEY, since INTEGER NOT NULL) WITHOUT ROWID;
    CREATE VIEW edits AS
        SELECT o.n, o.id, o.document,
            CASE WHEN o.applied = '' AND o.n >= b.since THEN 'held' ELSE o.applied END AS applied
        FROM operations o LEFT JOIN behind b ON b.document = o.document
        WHERE o.applied IS NOT NULL
    """,
)
