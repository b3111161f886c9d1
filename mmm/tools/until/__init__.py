"""Brings a backup up to a moment: which transactions of kept binary logs come after it, and how they are applied.

goal = parse("2026-11-29 14:03:00")                     raises UntilError("goal", …)
plan = planned(files, facts, goal)                      raises UntilError with a code
replayed = replay_on(staging, argv, plan, program)      raises FailedError
"""
