"""What formats, files, topics and stores promise."""
