"""mmm_control: asks the monitor, prints its answer."""
