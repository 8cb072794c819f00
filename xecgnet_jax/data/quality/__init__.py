"""What looks wrong with a recording: units, heartbeats, order of the leads."""
