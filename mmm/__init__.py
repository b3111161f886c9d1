"""MMM, Multi-Master Replication Manager for MySQL and MariaDB."""

__version__ = "3.0.0"
