"""What is done with a trained run: load, evaluate, compare, predict."""
