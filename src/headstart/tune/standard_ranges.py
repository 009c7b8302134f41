"""Ranges that hyper-parameters are searched over where their method does not say: one table, by the field's name.

Sources: Eimer, Lindauer and Raileanu (2023), "Hyperparameters in Reinforcement Learning and How To Tune Them", whose
spaces for PPO, DQN and SAC are followed for shared names; else the values that the methods' own papers report trying.
"""

from __future__ import annotations

from headstart.core.domain import Choice, Domain, Integer, Real

RATE = Real(1e-6, 1e-2, "log")

STANDARD_RANGES: dict[str, Domain] = {
    "learning_rate": RATE,
    "actor_learning_rate": RATE,
    "temperature_learning_rate": RATE,
    "discount": Real(0.8, 0.999, "log-complement"),
    "batch_size": Choice((64, 128, 256, 512)),
    # policy gradients from rollouts
    "clip": Real(0.05, 0.5),
    "trace_decay": Real(0.8, 0.9999),
    "entropy_weight": Real(1e-4, 0.5, "log"),
    "value_weight": Real(0.1, 1.0),
    "max_gradient_norm": Real(0.1, 10.0, "log"),
    "epochs": Integer(3, 20),
    # learning from data
    "expectile": Real(0.5, 0.95),
    "temperature": Real(0.5, 10.0, "log"),
    "conservative_weight": Real(0.1, 20.0, "log"),
    "alpha": Real(0.5, 10.0, "log"),
    "actor_penalty": Real(1e-3, 0.1, "log"),
    "critic_penalty": Real(1e-3, 0.1, "log"),
    "diversity": Real(0.1, 1000.0, "log"),
    "gumbel_temperature": Real(0.5, 10.0, "log"),
    "threshold": Real(0.05, 0.6),
    "fraction": Real(0.05, 0.5),
    # acting while learning
    "initial_temperature": Real(0.01, 1.0, "log"),
    "exploration_noise": Real(0.01, 0.5, "log"),
    "epsilon_decay_updates": Integer(100, 100_000, "log"),
    "final_epsilon": Real(0.005, 0.2, "log"),
}
"""Fields that are searched unless told otherwise. Sizes of networks and ensembles are not among them: they change what
a step costs, so a search over them is asked for by name."""

REPLAY_ONLY = ("batch_size",)
"""Fields that mean nothing to methods that learn only from their latest rollouts."""
