"""What a document shows: its fields, heads and contended fields.

Never imported by the main process (it loads automerge).
"""

from collections.abc import Sequence

from commons_crdt.document.apply import agreed, recall
from commons_crdt.document.values import DocumentView


def view(history: Sequence[bytes]) -> DocumentView:
    """Rebuilds the document from the chunks of its applied changes, in a causal order.

    Raises like `apply` for a history that this module did not accept.
    """
    return agreed(recall(history), history)
