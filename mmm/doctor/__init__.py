"""The doctor: checks whether a cluster is ready for the next failover, and says what to mend."""
