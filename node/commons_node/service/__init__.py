"""Running under the system's service manager: its unit, its questions, its credentials."""
