"""Many runs from one command: planned, shared among processes, killed and taken up again.

What a job is and whether it is done is read from the run folders. Nothing else is a state, so that nothing can break
when a sweep is killed or when several processes and machines work on it at once.
"""
