"""What recognition is made of: the judge in bytes, its world, its words, a head that meets the text encoder."""
