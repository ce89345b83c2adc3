"""What can be set: typed, bounded, checked before the first event."""
