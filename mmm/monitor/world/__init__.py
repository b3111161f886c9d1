"""What is believed of the cluster, as frozen values."""
