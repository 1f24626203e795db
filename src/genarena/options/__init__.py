"""Options: what values they may take, which of them a class has, how they are written on a command line. No torch here."""
