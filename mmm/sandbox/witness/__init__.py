"""What is seen of a sandbox from outside: its health, its clients, its logs."""
