"""Puts a backup back: `mmm_restore` (docs/backups.md)."""
