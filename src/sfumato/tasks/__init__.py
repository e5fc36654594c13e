"""What can be done with a model, one task a file; each takes a whole request and gives a Result."""
