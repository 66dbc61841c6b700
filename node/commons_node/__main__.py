"""``python -m commons_node run`` and ``demo``: what the command line starts.

Importing this does nothing: verifier workers import it again when they start.
"""

from __future__ import annotations

import sys

if __name__ == "__main__":
    from commons_node.starting import main

    sys.exit(main(sys.argv[1:]))
