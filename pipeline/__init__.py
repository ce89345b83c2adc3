"""The way through: named steps from source to sink, and the state they keep. Start at flow.py."""
