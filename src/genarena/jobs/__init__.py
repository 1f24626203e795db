"""Many runs with one command: as local processes, on Slurm, in suites."""
