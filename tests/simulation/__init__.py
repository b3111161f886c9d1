"""One monitor and 2 to 8 hosts in virtual time: real deciders, everything else simulated (docs/simulation.md)."""
