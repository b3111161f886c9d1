"""Long runs that try to break a sandbox, and their judges: torture and chaos."""
