"""For those who teach with the kit: editions, progress, preflight, a pack for a USB stick."""
