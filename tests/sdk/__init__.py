"""Real client libraries send to a server of the tests: what they put on the wire, and what becomes of it."""
