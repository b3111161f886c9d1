"""The machines of a sandbox: network namespaces, servers, their confs."""
