"""Configurations of the proxies that stand in front of a cluster, made from its conf."""
