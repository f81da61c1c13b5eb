"""What the daemon knows of each VM: its record, its project's directory and file, its ports."""
