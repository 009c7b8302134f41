"""The papers by name, each a module of this room."""

from __future__ import annotations

from headstart.core.registry import Registry, unknown

PAPERS = Registry("paper")


def _add(name: str, title: str) -> None:
    PAPERS.add(name, f"headstart.papers.{name.replace('-', '_')}:PAPER", title)


_add("wsrl", "Efficient Online Reinforcement Learning Fine-Tuning Need Not Retain Offline Data")
_add("d4rl", "D4RL: Datasets for Deep Data-Driven Reinforcement Learning")
_add("dataset-perspective", "A Dataset Perspective on Offline Reinforcement Learning")
_add("trajectory-weighting", "Harnessing Mixed Offline Reinforcement Learning Datasets via Trajectory Weighting")
_add("snapshot-rl", "Snapshot Reinforcement Learning: Leveraging Prior Trajectories for Efficiency")
_add("recovering", "Offline Planning and Online Learning under Recovering Rewards")
_add("lcb", "Bridging Offline Reinforcement Learning and Imitation Learning: A Tale of Pessimism")
_add("demo-regularized", "Demonstration-Regularized RL")
_add("glow", "Harnessing Density Ratios for Online Reinforcement Learning")
_add("learning-to-relax", "Learning to Relax: Setting Solver Parameters Across a Sequence of Linear System Instances")
_add("groupwise", "Oracle Efficient Algorithms for Groupwise Regret")
_add("learn-active", "Learning to Actively Learn: A Robust Approach")
_add("sparse-misspecified", "Does Sparsity Help in Learning Misspecified Linear Bandits?")
_add("pr-lsvi", "Making RL with Preference-based Feedback Efficient via Randomization")
_add("cascading", "Cascading Reinforcement Learning")
_add("autorl", "Hyperparameters in Reinforcement Learning and How To Tune Them")
_add("ftpedel", "Leveraging Offline Data in Online Reinforcement Learning")
_add("revealing-pomdp", "Lower Bounds for Learning in Revealing POMDPs")
_add("contrastive-ucb", "Contrastive UCB: Provably Efficient Contrastive Self-Supervised Learning in Online RL")
_add("open-rl-benchmark", "Open RL Benchmark: Comprehensive Tracked Experiments for Reinforcement Learning")
_add("neucb", "Contextual Bandits with Online Neural Regression")
_add("rlhf-workflow", "RLHF Workflow: From Reward Modeling to Online RLHF")
_add("alol", "Leftover-Lunch: Advantage-based Offline Reinforcement Learning for Language Models")
_add("drpo", "Dataset Reset Policy Optimization for RLHF")
_add("rso", "Statistical Rejection Sampling Improves Preference Optimization")
_add(
    "online-offline-alignment",
    "Understanding the Performance Gap between Online and Offline Alignment Algorithms",
)
_add("hypo", "The Importance of Online Data: Understanding Preference Fine-tuning via Coverage")
_add("xpo", "Exploratory Preference Optimization")
_add("vpo", "Value-Incentivized Preference Optimization")
_add("inpo", "Iterative Nash Policy Optimization")
_add("on-policy-preferences", "Preference Fine-Tuning of LLMs Should Leverage Suboptimal, On-Policy Data")
_add("sharpening", "Self-Improvement in Language Models: The Sharpening Mechanism")


def target_of(name: str) -> str:
    """Where a paper is, as ``module:attribute``.

    Raises:
        UsageError: the name is unknown; the nearest ones are offered.
    """
    for entry in PAPERS:
        if entry.name == name:
            return entry.target
    raise unknown("paper", name, PAPERS.names())


def module_of(name: str) -> str:
    """The module of a paper."""
    return target_of(name).partition(":")[0]
