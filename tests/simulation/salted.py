"""A simulated run in processes with other salts of hashes: none may change what comes of it."""

from __future__ import annotations

import os
import subprocess
import sys


def salted(program: str) -> set[str]:
    """What a program printed with each of two salts; one text if no order of hashes leaked."""
    return {
        subprocess.run(
            [sys.executable, "-c", program],
            env={**os.environ, "PYTHONHASHSEED": salt},
            capture_output=True,
            text=True,
            check=True,
            timeout=120,
        ).stdout.strip()
        for salt in ("1", "2")
    }
