"""The Debian packages, built, installed and used on systems with systemd of their own: `make test-deb`."""
