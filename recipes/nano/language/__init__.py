"""How nano is taught to read what people write: wordings of the recipe's captions, and prompts to judge it by."""
