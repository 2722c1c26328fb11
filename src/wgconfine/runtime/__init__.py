"""What systemd executes. Standard library only; of wgconfine it imports the .conf parser alone."""
