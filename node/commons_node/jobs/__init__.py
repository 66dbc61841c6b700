"""Jobs: what this node does by itself, on a schedule or when something happens.

`queue` remembers, `triggers` says when, `budget` says how much, `workers` runs a handler in a
process of its own, `scheduler` brings them together. `docs/jobs.md` is the host's page.
"""
