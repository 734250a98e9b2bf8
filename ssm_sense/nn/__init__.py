"""Layers that carry state: ``y, state = layer(x, state)``, never a frame remembered inside."""
