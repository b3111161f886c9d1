"""A session with a server: login, deadlines, questions and answers."""
