"""Memory policies behind one interface, ours and the rivals', a file each."""
