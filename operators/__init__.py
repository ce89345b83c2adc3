"""The rules, pure: what an event means, and what to do next."""
