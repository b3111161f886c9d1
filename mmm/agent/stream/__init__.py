"""The process that sends a copy of this host's data to another host; the agent's loop carries none of it."""
