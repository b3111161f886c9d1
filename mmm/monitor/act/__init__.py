"""Sockets, servers, files, threads and the clock of the monitor."""
