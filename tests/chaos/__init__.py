"""Real servers, killed and paused under load; what a consumer saw is held against the truth (`make chaos`)."""
