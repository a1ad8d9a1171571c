"""Models of what is unusual: users unlike their peers, texts nearly equal."""
