"""What the task of guidance is made of: how samples are drawn at each strength, how they are scored, and pictures."""
