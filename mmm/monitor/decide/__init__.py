"""Who gets which role, who is told what, and when. Pure."""
