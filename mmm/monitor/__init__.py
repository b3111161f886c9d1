"""mmm_mond: checks hosts, keeps their states, assigns roles."""
