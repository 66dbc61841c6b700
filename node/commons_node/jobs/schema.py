"""The file of jobs: runs, what they have done, and what is still to be said outside.

A file of its own (decision 25): a queue that is busy keeps nobody from writing down a peer.
"""

from __future__ import annotations

from typing import Final

FIRST: Final = """
    CREATE TABLE jobs (
        job TEXT PRIMARY KEY, principal TEXT NOT NULL, priority INTEGER NOT NULL,
        concurrency INTEGER NOT NULL, running INTEGER NOT NULL DEFAULT 0,
        definition BLOB NOT NULL, paused_ms INTEGER) WITHOUT ROWID;
    CREATE TABLE triggers (
        job TEXT NOT NULL, trigger TEXT NOT NULL, anchor_ms INTEGER NOT NULL,
        pending_ms INTEGER, event BLOB, count INTEGER NOT NULL DEFAULT 0,
        PRIMARY KEY (job, trigger)) WITHOUT ROWID;
    CREATE TABLE principals (
        principal TEXT PRIMARY KEY, used REAL NOT NULL) WITHOUT ROWID;
    CREATE TABLE runs (
        run INTEGER PRIMARY KEY, job TEXT NOT NULL, dedup TEXT UNIQUE, state TEXT NOT NULL,
        trigger TEXT NOT NULL, scheduled_ms INTEGER NOT NULL, covers INTEGER NOT NULL,
        dry INTEGER NOT NULL, urgent INTEGER NOT NULL, event BLOB,
        attempts INTEGER NOT NULL DEFAULT 0, fence INTEGER NOT NULL DEFAULT 0,
        term TEXT, lease_ms INTEGER, queued_ms INTEGER NOT NULL,
        not_before_ms INTEGER, delay_ms INTEGER, began_ms INTEGER, ended_ms INTEGER,
        wall_ms INTEGER, cpu_ms INTEGER, memory INTEGER, code TEXT, error TEXT, result BLOB);
    CREATE INDEX runs_ready ON runs (job, urgent DESC, run) WHERE state = 'ready';
    CREATE INDEX runs_waiting ON runs (not_before_ms) WHERE state = 'waiting';
    CREATE INDEX runs_leased ON runs (job) WHERE state = 'leased';
    CREATE INDEX runs_open ON runs (job) WHERE state IN ('ready', 'waiting', 'leased');
    CREATE INDEX runs_of ON runs (job, run);
    CREATE TABLE effects (
        job TEXT NOT NULL, operation TEXT NOT NULL, run INTEGER NOT NULL, kind TEXT NOT NULL,
        at_ms INTEGER NOT NULL, PRIMARY KEY (job, operation)) WITHOUT ROWID;
    CREATE TABLE kept (
        job TEXT NOT NULL, name TEXT NOT NULL, value BLOB NOT NULL,
        PRIMARY KEY (job, name)) WITHOUT ROWID;
    CREATE TABLE notices (
        notice INTEGER PRIMARY KEY, job TEXT NOT NULL, run INTEGER NOT NULL,
        at_ms INTEGER NOT NULL, text TEXT NOT NULL, about BLOB);
    CREATE TABLE samples (
        job TEXT NOT NULL, at_ms INTEGER NOT NULL, name TEXT NOT NULL, value REAL NOT NULL,
        PRIMARY KEY (name, at_ms, job)) WITHOUT ROWID;
    CREATE TABLE outbox (
        letter INTEGER PRIMARY KEY, job TEXT NOT NULL, operation TEXT NOT NULL,
        kind TEXT NOT NULL, body BLOB NOT NULL, state TEXT NOT NULL, attempts INTEGER NOT NULL,
        not_before_ms INTEGER NOT NULL, delay_ms INTEGER NOT NULL, error TEXT,
        UNIQUE (job, operation));
    CREATE INDEX outbox_ready ON outbox (not_before_ms) WHERE state = 'ready';
    CREATE TABLE logs (
        line INTEGER PRIMARY KEY, run INTEGER NOT NULL, at_ms INTEGER NOT NULL,
        text TEXT NOT NULL);
    CREATE INDEX logs_of ON logs (run, line);
    CREATE TABLE counts (name TEXT PRIMARY KEY, value REAL NOT NULL) WITHOUT ROWID
"""

AGENTS: Final = """
    CREATE TABLE windows (
        name TEXT PRIMARY KEY, used INTEGER NOT NULL, passed_ms INTEGER NOT NULL,
        at_ms INTEGER NOT NULL, boot_ms INTEGER NOT NULL, term TEXT NOT NULL) WITHOUT ROWID;
    CREATE TABLE receipts (
        run INTEGER NOT NULL, fence INTEGER NOT NULL, job TEXT NOT NULL, agent TEXT NOT NULL,
        principal TEXT NOT NULL, attempt INTEGER NOT NULL, began_ms INTEGER NOT NULL,
        ended_ms INTEGER, reserved INTEGER NOT NULL, fuel INTEGER, memory_mib_ms INTEGER,
        calls INTEGER, call_cost INTEGER, runner TEXT, engine TEXT, tariff INTEGER NOT NULL,
        how TEXT, cost INTEGER, PRIMARY KEY (run, fence)) WITHOUT ROWID;
    CREATE INDEX receipts_of ON receipts (job, run);
    CREATE TABLE refusals (
        run INTEGER NOT NULL, method TEXT NOT NULL, code TEXT NOT NULL, text TEXT NOT NULL,
        count INTEGER NOT NULL, PRIMARY KEY (run, method, code)) WITHOUT ROWID;
    CREATE TABLE kv (
        agent TEXT NOT NULL, name TEXT NOT NULL, value BLOB NOT NULL,
        PRIMARY KEY (agent, name)) WITHOUT ROWID;
    CREATE TABLE proposals (
        proposal INTEGER PRIMARY KEY, job TEXT NOT NULL, operation TEXT NOT NULL,
        run INTEGER NOT NULL, agent TEXT NOT NULL, principal TEXT NOT NULL,
        command TEXT NOT NULL, arguments BLOB NOT NULL, why TEXT NOT NULL,
        at_ms INTEGER NOT NULL, state TEXT NOT NULL, member TEXT, ended_ms INTEGER,
        answer BLOB, error TEXT, UNIQUE (job, operation));
    CREATE INDEX proposals_open ON proposals (agent) WHERE state = 'open';
    CREATE TABLE proposed (
        written BLOB PRIMARY KEY, proposal INTEGER NOT NULL) WITHOUT ROWID
"""
"""What agents may use up and have used, what they keep, and what they propose.

A receipt is a fact of one attempt: reserved with its lease, settled with its end (``cost``).
``proposed`` has the operations that came of a proposal, noted before they are stored.
"""

NAMED: Final = """
    ALTER TABLE samples ADD COLUMN agent TEXT;
    ALTER TABLE samples ADD COLUMN principal TEXT;
    ALTER TABLE outbox ADD COLUMN agent TEXT;
    ALTER TABLE outbox ADD COLUMN principal TEXT;
    ALTER TABLE proposals ADD COLUMN policy INTEGER;
    ALTER TABLE proposals ADD COLUMN held TEXT;
    CREATE TABLE policies (
        policy INTEGER PRIMARY KEY, agent TEXT NOT NULL, principal TEXT NOT NULL,
        member TEXT NOT NULL, device TEXT NOT NULL, publisher TEXT NOT NULL,
        package TEXT NOT NULL, granted BLOB NOT NULL, command TEXT NOT NULL,
        each_day INTEGER NOT NULL, until_ms INTEGER NOT NULL, made_ms INTEGER NOT NULL,
        newest INTEGER NOT NULL, ended_ms INTEGER, ended TEXT);
    CREATE INDEX policies_live ON policies (agent) WHERE ended_ms IS NULL
"""
"""Whose a letter and a figure are, also when their agent is gone; and in whose name an agent may
have its proposals signed (``proposals.policies``).
"""

JOBS_SCHEMA: Final = (FIRST, AGENTS, NAMED)
