"""What the agent obeys, and in which order it changes its host. Pure."""
