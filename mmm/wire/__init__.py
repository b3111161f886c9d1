"""The two line protocols as pure encode and decode, without sockets."""
