"""Authority: who is a member, what a device may do, and when an operation stands.

Implements AUTHORITY.md for a council of one founder without cuts; the strata, seals and the
naming of branches plug into ``Judge`` and ``Authority``. Never looks at a clock or a store.
"""
