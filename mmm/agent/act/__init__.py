"""Sockets, servers, interfaces, files, threads and the clock of the agent."""
