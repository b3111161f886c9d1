"""mmm_agentd: makes the host match what the monitor ordered."""
