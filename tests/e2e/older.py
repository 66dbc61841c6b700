"""A node of the version before: everything of this program, but the newest rules.

Run as ``python -m tests.e2e.older run …``, in place of ``python -m commons_node``.
"""

from __future__ import annotations

import sys

from commons_node import domains

assert domains.RULES.before is not None, "there is a version before this one"
domains.RULES = domains.RULES.before  # before anything else reads it

from commons_node.starting import main  # noqa: E402 - see above

if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
