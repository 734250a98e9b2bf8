"""Where frames, questions and event boundaries come from: every dataset yields `clip.Clip`."""
