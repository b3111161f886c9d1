"""What must hold before a release goes out: `make release-check`. docs/releasing.md says what follows."""
