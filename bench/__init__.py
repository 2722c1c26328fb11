"""Measurements, as ratios taken side by side in one run: the machine underneath may be any."""
