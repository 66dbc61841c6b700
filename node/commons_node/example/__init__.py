"""An example neighbourhood: a street's year, lived through the real commands by made-up people."""
