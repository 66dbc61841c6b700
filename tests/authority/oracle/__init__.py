"""The slow evaluator of authority: reads like docs/protocol/authority.md, and is nobody's copy.

Everything is computed again from nothing, in frozensets of ids, with recursion. It shares the
types of facts and the table of kinds with the program, and no logic: the tests hold the two
together. It assumes that envelopes are valid (signature, links, lamport, budget).
"""

from tests.authority.oracle.verdicts import Answer, judge_all

__all__ = ["Answer", "judge_all"]
