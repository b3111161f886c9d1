"""What is asked of a server and said to it, by flavour."""
