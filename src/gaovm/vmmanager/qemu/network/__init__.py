"""The guest's network outside QEMU: passt, the filter before it, and what keeps both running."""
