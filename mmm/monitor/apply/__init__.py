"""What an event changes in the world. Pure."""
