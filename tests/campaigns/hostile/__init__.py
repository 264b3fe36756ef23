"""Hostile input: every file that the programs read, mutated with a seed, and the real commands run on it.

    python -m tests.campaigns.hostile OUT --cases 10000 --seed 0
    python -m tests.campaigns.hostile OUT --only export --case 17     # that case again, alone

A case is a fresh copy of a small base, one file of it mutated (`json_mutations`, `table_mutations`, `byte_mutations`,
`bombs`), and the commands that read it, each in a forked process with limits (`forks`). What is a fault is said in
`verdicts`. Case N of seed S is the same on every machine,
but for the paths and the hour that a workspace remembers.
"""
