"""mmm_sandbox: a whole real cluster in network namespaces on one machine."""
