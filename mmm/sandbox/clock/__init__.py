"""A folder for the path of the daemons: see sitecustomize."""
