"""The servers' own programs that copy their data: how they are called, and what they say."""
