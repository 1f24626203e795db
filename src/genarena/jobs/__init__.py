"""Many runs with one command: as processes of this machine, on Slurm, in suites."""
