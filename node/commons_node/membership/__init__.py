"""What the daemon does for membership: found, invite, admit, join, unlock.

The rules stand in ``commons_crdt.authority``, the verbs in ``domains.membership``; here is the part
between them that needs keys, the clock and the network.
"""
