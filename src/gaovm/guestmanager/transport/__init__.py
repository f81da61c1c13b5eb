"""What carries the calls to a guest's agent: its port, the first lines, and HTTP/2 on it."""
