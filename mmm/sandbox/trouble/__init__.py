"""What is broken on purpose in a sandbox, and mended again."""
