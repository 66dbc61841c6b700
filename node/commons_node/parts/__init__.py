"""Parts on demand: which parts are fetched, from whom, and which are let go again."""
