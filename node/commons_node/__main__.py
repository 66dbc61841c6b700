"""``python -m commons_node run`` and ``demo``: what the command line starts.

Importing this does nothing: verifier workers import it again when they start.
"""

from __future__ import annotations

import gc
import sys

if __name__ == "__main__":
    gc.disable()  # nothing that is imported goes again: to look for it is a tenth of a start
    from commons_node.starting import main

    gc.enable()
    sys.exit(main(sys.argv[1:]))
