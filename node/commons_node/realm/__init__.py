"""One realm as this node holds it: verified, judged, stored, folded, ready to be served."""
