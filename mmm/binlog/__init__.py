"""Binary logs as bytes: their events, and the whole transactions among them. Pure."""
