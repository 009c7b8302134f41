"""headstart's learners led through a log: all rows in one compiled loop, or one row at a time as in a service."""

from __future__ import annotations

import jax
import numpy as np
from bandit_task import logged_problem
from task import Stopwatch, read_task, write_report

import headstart
from headstart.bandits.live import Agent
from headstart.bandits.log import Log
from headstart.bandits.registry import make_learner
from headstart.bandits.replay import replay

task = read_task()
contexts, actions, rewards = logged_problem(task["rows"], task["arms"], task["features"])
context_free = task["learner"] == "beta-thompson"
learner = make_learner(task["learner"], **task["fields"])
log = Log.of(
    actions, rewards, np.full(len(actions), 1 / task["arms"]), None if context_free else contexts, task["arms"]
)
stopwatch = Stopwatch(task["rows"])
if task["loop"] == "compiled":
    for number in range(task["windows"] + 1):
        replay(learner, log, draws=1)
        stopwatch.at(task["rows"] * (number + 1))
else:
    agent, steps = Agent(learner, log.spec), 0
    agent.warm_up()
    shared = np.repeat(log.contexts, task["arms"], axis=1)
    for _ in range(task["windows"] + 1):
        for context, reward in zip(shared, rewards.tolist()):
            agent.observe(agent.choose(None if context_free else context).number, reward)
            steps += 1
        stopwatch.at(steps)
write_report(stopwatch.report(task["rows"]), headstart=headstart.__version__, jax=jax.__version__)
