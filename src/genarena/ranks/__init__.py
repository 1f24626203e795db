"""The processes that work on one run: which one this is, what they tell each other, who starts them, their threads."""
