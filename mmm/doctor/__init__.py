"""The doctor: looks whether a cluster would do its work at the next failover, and says what to mend."""
