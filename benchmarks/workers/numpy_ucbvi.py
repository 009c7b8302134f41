"""Episodes a second of UCBVI as one writes it first: NumPy arrays, one seed, a Python loop over episodes and steps."""

from __future__ import annotations

import numpy as np
from task import Stopwatch, read_task, write_report


class UCBVI:
    """The mathematics of ``headstart.finite.ucbvi.UCBVI`` with Hoeffding's bonus, for stationary worlds."""

    def __init__(self, states: int, actions: int, horizon: int, scale: float, confidence: float):
        self.horizon, self.scale, self.confidence, self.episode = horizon, scale, confidence, 0
        self.transitions = np.zeros((states, actions, states))
        self.rewards = np.zeros((states, actions))
        self.count = np.zeros((states, actions))
        self.action_values = np.ones((horizon, states, actions)) * (horizon - np.arange(horizon))[:, None, None]

    def plan(self) -> None:
        """Optimistic values, from the last step back."""
        self.episode += 1
        states, actions = self.count.shape
        log = np.log(5 * states * actions * self.horizon * self.episode / (1 - self.confidence))
        n = np.maximum(self.count, 1)
        transition, reward, root = self.transitions / n[:, :, None], self.rewards / n, np.sqrt(log / n)
        values = np.zeros(states)
        for step in reversed(range(self.horizon)):
            width = self.scale * (self.horizon - step) * root
            optimistic = np.minimum(reward + transition @ values + width, self.action_values[step])
            self.action_values[step] = np.where(self.count > 0, optimistic, self.action_values[step])
            values = self.action_values[step].max(1)

    def observe(self, state: int, action: int, reward: float, following: int) -> None:
        """Count a transition."""
        self.transitions[state, action, following] += 1
        self.rewards[state, action] += reward
        self.count[state, action] += 1


def value(transition: np.ndarray, reward: np.ndarray, choice: np.ndarray) -> float:
    """Exact value from state 0 of the actions ``choice [horizon, states]``."""
    every = np.arange(len(reward))
    values = np.zeros(len(reward))
    for actions in choice[::-1]:
        values = reward[every, actions] + transition[every, actions] @ values
    return values[0]


def play(transition: np.ndarray, reward: np.ndarray, learner: UCBVI, episodes: int, stopwatch: Stopwatch) -> np.ndarray:
    """Values of the policies played, ``[episodes]``; rewards are Bernoulli."""
    random = np.random.default_rng(0)
    cumulative = transition.cumsum(-1)
    values = []
    for episode in range(episodes):
        learner.plan()
        choice = learner.action_values.argmax(-1)
        values.append(value(transition, reward, choice))
        state = 0
        for step in range(learner.horizon):
            action = choice[step, state]
            following = np.searchsorted(
                cumulative[state, action], random.random() * cumulative[state, action, -1], "right"
            )
            learner.observe(state, action, random.random() < reward[state, action], following)
            state = following
        stopwatch.at(episode + 1)
    return np.array(values)


def main() -> None:
    """Measure."""
    task = read_task()
    random = np.random.default_rng(0)
    states, actions = task["states"], task["actions"]
    transition = random.dirichlet(np.full(states, 0.1), (states, actions))
    learner = UCBVI(states, actions, task["horizon"], scale=0.1, confidence=0.95)
    stopwatch = Stopwatch(task["window"])
    values = play(transition, random.random((states, actions)), learner, task["episodes"], stopwatch)
    report = stopwatch.report(task["window"]) | {"mean_value": float(values.mean())}
    write_report(report, numpy=np.__version__)


if __name__ == "__main__":
    main()
