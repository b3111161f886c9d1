"""Every state that the rules of `mmm.lease` can come to: two masters, one monitor, everything that can go wrong."""
