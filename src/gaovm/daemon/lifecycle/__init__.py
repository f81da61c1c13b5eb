"""How a VM starts, stops, and comes back: operations, recovery, and the supervisor's restarts."""
