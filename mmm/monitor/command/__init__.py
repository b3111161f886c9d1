"""What the admin orders with mmm_control. Pure."""
