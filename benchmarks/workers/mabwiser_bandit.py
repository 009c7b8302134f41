"""MABWiser's learners led through a log: in each row predict, then learn from what was logged."""

from __future__ import annotations

from importlib.metadata import version

from bandit_task import logged_problem
from mabwiser.mab import MAB, LearningPolicy
from task import Stopwatch, read_task, write_report

task = read_task()
contexts, actions, rewards = logged_problem(task["rows"], task["arms"], task["features"])
policies = {
    "lin-ucb": lambda: LearningPolicy.LinUCB(alpha=1.0, l2_lambda=1.0),
    "lin-thompson": lambda: LearningPolicy.LinTS(alpha=0.5, l2_lambda=1.0),
    "beta-thompson": lambda: LearningPolicy.ThompsonSampling(),
}
context_free = task["learner"] == "beta-thompson"
arms = list(range(task["arms"]))
stopwatch, steps = Stopwatch(task["rows"]), 0
for _ in range(task["windows"] + 1):
    learner = MAB(arms, policies[task["learner"]]())
    first = [] if context_free else [contexts[:1]]
    learner.fit([0], [0.0], *first)
    for row, (action, reward) in enumerate(zip(actions.tolist(), rewards.tolist())):
        shown = [] if context_free else [contexts[row : row + 1]]
        learner.predict(*shown)
        learner.partial_fit([action], [reward], *shown)
        steps += 1
    stopwatch.at(steps)
write_report(stopwatch.report(task["rows"]), mabwiser=version("mabwiser"))
