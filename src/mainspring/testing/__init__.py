"""For users' tests and ours: time that stands still until told, and later a whole Mainspring on it."""
