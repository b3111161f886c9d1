"""What is said to people and programs, made from values. Pure."""
