"""What recognition is made of: the judge in bytes, its vocabulary, its words, a head that meets the text encoder."""
