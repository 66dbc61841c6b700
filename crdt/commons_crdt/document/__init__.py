"""The fenced Automerge module: the only place of the project that knows Automerge.

A document is a flat map of scalar fields, edited by signed changes. The files, in the order of
a foreign change's way through them:

==============  ==================================================================================
`values`        what goes in and comes out: plain, picklable
`schema`        which fields a document has, and their bounds
`change`        bounded parse of a change's header (safe in any process)
`operations`    strict decode of what the change writes (safe in any process)
`causality`     the causal past of each change and what is visible there (pure Python)
`rules`         judges one change by its past: the reasons for a refusal
`engine`        **the only importer of automerge**; runs in a verifier worker only
`apply`         history + candidates -> results, heads, fields
`write`         new changes of this device
`view`          the fields, heads and contended fields of a history
==============  ==================================================================================

Importing this package, `change`, `operations`, `schema` or `values` never loads automerge; `apply`,
`write` and `view` do. Nothing here has a clock, randomness, a disk or a network.
"""
