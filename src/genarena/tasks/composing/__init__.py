"""What the task of composition is made of: scores over prompts, floors, and pictures."""
