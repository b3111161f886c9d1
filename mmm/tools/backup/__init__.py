"""Makes backups and looks after them: `mmm_backup` (docs/backups.md)."""
