"""Text becomes values here, and bad input is met here and nowhere else. No I/O."""
