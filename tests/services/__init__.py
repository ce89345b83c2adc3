"""Real servers for tests: one Kafka node, one Redis. Fixtures in plugin.py; `make services` is for a person."""
