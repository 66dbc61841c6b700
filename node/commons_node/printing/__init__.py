"""Pages for a printer: plain HTML in one file, with everything in it and nothing from elsewhere."""
