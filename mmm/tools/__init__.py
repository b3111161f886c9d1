"""Programs that an admin runs on a MySQL host: what only this host has is saved, a host is brought back."""
