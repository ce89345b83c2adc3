"""Every byte in or out: formats, topics, files and stores."""
