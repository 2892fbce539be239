"""The demonstration: a simulated company whose numbers a new user can watch at once."""
