"""Recorded transitions on the host: the offline dataset and the online replay are this one type."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Literal

import numpy as np
from jaxtyping import Bool, Float, Int, Shaped

from headstart.core.errors import DataError, UsageError
from headstart.core.specs import Spec
from headstart.data.batch import Batch
from headstart.data.columns import COLUMNS, column_layout, conform
from headstart.data.disk import ChosenRows, DiskColumn
from headstart.data.windows import Ring, discounted_returns, parts_of_episodes, window

# A selection of more than this from a column on disk is left there.
_TAKEN_BYTES = 64 << 20


@dataclass(frozen=True)
class Episodes:
    """Where episodes lie.

    Attributes:
        starts: first place of each episode.
        ends: the place after its last.
        complete: whether it was recorded from its start to a termination or truncation.
        order: the row at each place, where rows are not stored in order of time; None where place and row agree.
    """

    starts: Int[np.ndarray, " episodes"]
    ends: Int[np.ndarray, " episodes"]
    complete: Bool[np.ndarray, " episodes"]
    order: Int[np.ndarray, " rows"] | None = None

    def __len__(self) -> int:
        return len(self.starts)

    @property
    def lengths(self) -> Int[np.ndarray, " episodes"]:
        """Transitions in each episode."""
        return self.ends - self.starts

    def rows(self, episode: int) -> Int[np.ndarray, " length"]:
        """The rows of one episode, in order of time."""
        places = np.arange(self.starts[episode], self.ends[episode])
        return places if self.order is None else self.order[places]


class Experience:
    """Transitions in columns, one row each: NumPy arrays or memory maps.

    A dataset grows when appended to; a ring (``Experience.empty``) has a fixed capacity and forgets its oldest rows.

    Args:
        spec: observations and actions of the world they come from.
        columns: an array for every name in ``COLUMNS``, all of the same length; converted to the dtypes of
            ``column_layout`` where they differ (8-bit observations are kept as they are). ``rewards``,
            ``terminations`` and ``truncations`` may be of shape [rows, 1].
        metadata: JSON-serialisable facts: where it comes from, the world's id, how it was made.
        left_out: rows of the file it was read from that are not here, ascending, where the file had no next
            observations of its own and these rows no successor; None where every row of the file is here.

    Raises:
        DataError: a column is missing, or its shape does not fit.
    """

    def __init__(
        self,
        spec: Spec,
        columns: Mapping[str, Any],
        metadata: Mapping[str, Any] | None = None,
        left_out: Int[np.ndarray, " rows"] | None = None,
    ):
        missing = [name for name in COLUMNS if name not in columns]
        if missing:
            raise DataError(f"columns {', '.join(missing)} are missing; expected {', '.join(COLUMNS)}")
        small = getattr(columns["observations"], "dtype", None) == np.uint8
        layout = column_layout(spec, np.uint8 if small else np.float32)
        self.spec = spec
        self.metadata: dict[str, Any] = dict(metadata or {})
        self.left_out = left_out
        self.streams = 1
        self._disk = {name: column for name, column in columns.items() if isinstance(column, ChosenRows)}
        self._columns = {
            name: conform(name, columns[name], *layout[name]) for name in COLUMNS if name not in self._disk
        }
        lengths = {name: len(column) for name, column in {**self._columns, **self._disk}.items()}
        behind = {name: DiskColumn.behind(column) for name, column in self._columns.items()}
        self._disk |= {name: column for name, column in behind.items() if column is not None}
        if len(set(lengths.values())) > 1:
            raise DataError(f"columns differ in length: {lengths}")
        self._size = lengths["rewards"]
        self._next = self._size
        self._fixed = False

    @classmethod
    def empty(
        cls, spec: Spec, capacity: int, streams: int = 1, metadata: Mapping[str, Any] | None = None
    ) -> Experience:
        """A ring of ``capacity`` rows to append to.

        Args:
            spec: observations and actions of the world.
            capacity: the most rows to keep; rounded up to a multiple of ``streams``.
            streams: how many worlds act in parallel; each append brings one row of each, in the same order.
            metadata: JSON-serialisable facts.
        """
        if capacity < 1 or streams < 1:
            raise UsageError(f"capacity {capacity} and streams {streams} must both be at least 1")
        capacity = -(-capacity // streams) * streams
        layout = column_layout(spec)
        ring = cls(spec, {name: np.empty((0, *shape), dtype) for name, (dtype, shape) in layout.items()}, metadata)
        ring._columns = {name: np.zeros((capacity, *shape), dtype) for name, (dtype, shape) in layout.items()}
        ring.streams, ring._next, ring._fixed = streams, 0, True
        return ring

    def __len__(self) -> int:
        return self._size

    def digest(self) -> str:
        """SHA-256 of the content: the recorded one where it came from a dataset folder of ours, else computed."""
        from headstart.data.folder import content_digest

        return str(self.metadata["digest"]) if "digest" in self.metadata else content_digest(self)

    def __repr__(self) -> str:
        return f"Experience({self._size:,} transitions, {self.spec})"

    @property
    def capacity(self) -> int:
        """Rows there is room for; a dataset makes room as it grows."""
        return len(self._columns["rewards"])

    @property
    def position(self) -> int:
        """The row that is written next."""
        return self._next % self.capacity if self.capacity else 0

    @property
    def scattered(self) -> bool:
        """Whether rows lie on disk in places of their own: chosen from a larger dataset and not held in memory."""
        return any(isinstance(column, ChosenRows) for column in self._disk.values())

    @property
    def fixed(self) -> bool:
        """Whether this is a ring, which forgets, rather than a dataset, which grows."""
        return self._fixed

    @property
    def layout(self) -> Ring:
        """Which row follows which."""
        return Ring(max(self.capacity, 1), self.position, self.streams)

    @property
    def columns(self) -> dict[str, np.ndarray]:
        """Every column's recorded rows, as stored."""
        return {name: self._column(name)[: self._size] for name in COLUMNS}

    def _column(self, name: str) -> np.ndarray:
        if name not in self._columns:  # chosen rows on disk that are wanted in memory after all
            self._columns[name] = self._disk.pop(name)[:]
        return self._columns[name]

    @property
    def observations(self) -> Shaped[np.ndarray, "rows ..."]:
        """Where each action was taken; float32 or uint8."""
        return self._column("observations")[: self._size]

    @property
    def actions(self) -> Shaped[np.ndarray, "rows ..."]:
        """What was done, in the world's own units; float32 or int32."""
        return self._column("actions")[: self._size]

    @property
    def rewards(self) -> Float[np.ndarray, " rows"]:
        """What followed, float32."""
        return self._column("rewards")[: self._size]

    @property
    def next_observations(self) -> Shaped[np.ndarray, "rows ..."]:
        """The true successor, never a reset state."""
        return self._column("next_observations")[: self._size]

    @property
    def terminations(self) -> Bool[np.ndarray, " rows"]:
        """Where the world ended."""
        return self._column("terminations")[: self._size]

    @property
    def truncations(self) -> Bool[np.ndarray, " rows"]:
        """Where a time limit or the end of recording cut the episode."""
        return self._column("truncations")[: self._size]

    def take(self, name: str, rows: Int[np.ndarray, " batch"]) -> Any:
        """One column at the given rows; read from disk, not through the memory map, where it lies on disk."""
        return self._disk[name].take(rows) if name in self._disk else np.take(self._columns[name], rows, axis=0)

    def read(self, name: str, start: int = 0, stop: int | None = None) -> Any:
        """One column from row ``start`` up to ``stop``, in memory; a view where it is in memory already."""
        return self._source(name)[start : self._size if stop is None else min(stop, self._size)]

    def _source(self, name: str) -> np.ndarray | DiskColumn | ChosenRows:
        return self._disk[name] if name in self._disk else self._columns[name][: self._size]

    def append(
        self,
        observations: Any,
        actions: Any,
        rewards: Any,
        next_observations: Any,
        terminations: Any,
        truncations: Any,
    ) -> None:
        """Add rows: ``streams`` at a time (one of each stream, in order), or several such groups one after another.

        Raises:
            DataError: shapes do not fit, or the columns are memory-mapped (they are read-only).
        """
        given = (observations, actions, rewards, next_observations, terminations, truncations)
        new = {name: np.asarray(value) for name, value in zip(COLUMNS, given, strict=True)}
        count = len(new["rewards"])
        if count % self.streams:
            raise DataError(f"{count} rows given to {self.streams} streams; give a multiple of {self.streams}")
        self._columns = {name: self._column(name) for name in COLUMNS}
        for name, column in self._columns.items():
            expected = (count, *column.shape[1:])
            if new[name].shape != expected:
                raise DataError(f"{name} of shape {new[name].shape} appended; expected {expected}")
        self.metadata.pop("digest", None)
        if not self._fixed:
            self._end_unless_continued(new["observations"])
            self._make_room(self._size + count)
        for start in range(0, count, max(self.capacity, 1)):
            self._write({name: value[start : start + self.capacity] for name, value in new.items()})

    def _write(self, new: dict[str, np.ndarray]) -> None:
        count, position = len(new["rewards"]), self.position
        first = min(count, self.capacity - position)
        for name, column in self._columns.items():
            column[position : position + first] = new[name][:first]
            if count > first:
                column[: count - first] = new[name][first:]
        self._next += count
        self._size = min(self._size + count, self.capacity)

    def _end_unless_continued(self, observations: np.ndarray) -> None:
        if any(not column.flags.writeable for column in self._columns.values()):
            raise DataError(
                "cannot append to read-only (memory-mapped) columns; load with memory_map=False, or append to the "
                "folder with headstart.data.folder.Writer(folder, spec, extend=True)"
            )
        if self._size == 0 or len(observations) == 0 or self.terminations[-1] or self.truncations[-1]:
            return
        if not np.array_equal(self.next_observations[-1], observations[0]):
            self.truncations[-1] = True

    def _make_room(self, rows: int) -> None:
        if rows <= self.capacity:
            return
        room = max(rows, self.capacity + self.capacity // 2, 1024)
        for name, column in self._columns.items():
            grown = np.zeros((room, *column.shape[1:]), column.dtype)
            grown[: self._size] = column[: self._size]
            self._columns[name] = grown
        self._disk = {}

    def episodes(self) -> Episodes:
        """Where episodes lie. One that was still going on when recording stopped, or whose start a ring has
        forgotten, is there but not ``complete``.
        """
        size, streams, order = self._size, self.streams, self._order()
        done = self.read("terminations") | self.read("truncations")
        done = done if order is None else done[order]
        per_stream = size // streams
        stops = done.copy()
        stops[per_stream - 1 :: max(per_stream, 1)] = True
        ends = np.flatnonzero(stops) + 1
        starts = np.concatenate([[0], ends[:-1]]).astype(ends.dtype) if len(ends) else ends
        complete = done[ends - 1]
        if self._next > size:
            complete &= starts % per_stream != 0
        return Episodes(starts, ends, complete, order)

    def _order(self) -> Int[np.ndarray, " rows"] | None:
        forgot = self._next > self._size
        return self.layout.order(self._size) if self.streams > 1 or (forgot and self.position) else None

    def returns(self, incomplete: bool = False) -> Float[np.ndarray, " episodes"]:
        """Undiscounted return of each complete episode (or of all, with ``incomplete``), float64."""
        episodes = self.episodes()
        if not len(episodes):
            return np.zeros(0)
        if episodes.order is None:
            totals = np.concatenate([self._totals(part) for part in parts_of_episodes(episodes.ends)])
        else:
            totals = np.add.reduceat(self.read("rewards")[episodes.order], episodes.starts, dtype=np.float64)
        return totals if incomplete else totals[episodes.complete]

    def _totals(self, ends: Int[np.ndarray, " episodes"]) -> Float[np.ndarray, " episodes"]:
        """Sums of rewards of consecutive episodes; the first of ``ends`` is where they begin."""
        rewards = self.read("rewards", ends[0], ends[-1])
        return np.add.reduceat(rewards, ends[:-1] - ends[0], dtype=np.float64)

    def returns_to_go(self, discount: float, tail: float | Literal["repeat"] = 0.0) -> Float[np.ndarray, " rows"]:
        """Discounted return from each row to the end of its episode, float32, in the order of rows.

        Args:
            discount: factor per transition.
            tail: value assumed where recording stopped without the world ending; "repeat" assumes the last reward
                for ever, ``reward / (1 - discount)``.

        Raises:
            UsageError: the discount is outside [0, 1], or 1 with ``tail="repeat"``.
        """
        if not 0.0 <= discount <= 1.0 or (tail == "repeat" and discount == 1.0):
            raise UsageError(f"discount {discount} with tail {tail!r}: expected 0 to 1, and below 1 to repeat for ever")
        if self._order() is None:
            # Columns on disk are read block by block.
            rewards, *ends = (self._source(name) for name in ("rewards", "terminations", "truncations"))
            return discounted_returns(rewards, ends[0], ends[1], discount, tail)
        episodes = self.episodes()
        order = episodes.order
        cut = self.truncations[order]
        cut[episodes.ends - 1] |= ~self.terminations[order][episodes.ends - 1]
        returns = np.empty(self._size, np.float32)
        returns[order] = discounted_returns(self.rewards[order], self.terminations[order], cut, discount, tail)
        return returns

    def select(self, episodes: Sequence[int] | Int[np.ndarray, " chosen"]) -> Experience:
        """A new dataset of the chosen episodes (numbers into ``episodes()``), in the order given, in memory.

        An unfinished episode is marked as truncated at its end. Many rows of a dataset that lies on disk stay there:
        their observations and actions are read when they are asked for.
        """
        found = self.episodes()
        chosen = np.asarray(episodes, np.int64).reshape(-1)
        if len(chosen) and (chosen.min() < 0 or chosen.max() >= len(found)):
            raise UsageError(f"episodes {chosen.min()} to {chosen.max()} asked for; there are {len(found)}")
        rows = [found.rows(int(episode)) for episode in chosen]
        ends = np.cumsum([len(part) for part in rows], dtype=np.int64) - 1
        taken = np.concatenate(rows) if rows else np.zeros(0, np.int64)
        columns: dict[str, Any] = {name: self._taken(name, taken) for name in COLUMNS}
        columns["truncations"][ends] |= ~columns["terminations"][ends]
        return Experience(self.spec, columns, {key: self.metadata[key] for key in self.metadata if key != "digest"})

    def _taken(self, name: str, rows: Int[np.ndarray, " chosen"]) -> np.ndarray | ChosenRows:
        column = self._disk.get(name)
        if column is None or len(column.shape) == 1 or len(rows) * column.row_bytes <= _TAKEN_BYTES:
            return self.take(name, rows)
        return ChosenRows(column, rows)

    def with_rewards(self, rewards: Float[np.ndarray, " rows"]) -> Experience:
        """The same transitions with other rewards; the other columns are shared, not copied."""
        columns: dict[str, Any] = {name: self._disk.get(name) for name in COLUMNS}
        for name in COLUMNS:
            if not isinstance(columns[name], ChosenRows):
                columns[name] = self._column(name)[: self._size]
        return Experience(self.spec, columns | {"rewards": rewards}, self.metadata)

    def in_order(self) -> Experience:
        """The same rows in order of time, stream after stream; itself where they are in that order."""
        episodes = self.episodes()
        return self if episodes.order is None else self.select(np.arange(len(episodes)))

    def gather(
        self,
        indices: Int[np.ndarray, " batch"],
        discount: float = 0.99,
        n_step: int = 1,
        returns_to_go: Float[np.ndarray, " rows"] | None = None,
        next_actions: bool = False,
    ) -> Batch:
        """The batch at rows ``indices``, bit for bit what ``Replay.gather`` gives on the device.

        Args:
            indices: rows, any integer type.
            discount: factor per transition.
            n_step: the most rewards to sum.
            returns_to_go: what ``returns_to_go(discount)`` gave, to be gathered too.
            next_actions: gather the next actions too.
        """
        rows = np.asarray(indices, np.int64)

        def outcomes(at):
            return self.take("rewards", at), self.take("terminations", at), self.take("truncations", at)

        found = window(np, outcomes(rows), outcomes, rows, self.layout, discount, n_step)
        to_go: Any = None if returns_to_go is None else np.take(returns_to_go, rows)
        return Batch(
            observations=_float32(self.take("observations", rows)),
            actions=self.take("actions", rows),
            rewards=found.rewards,
            next_observations=_float32(self.take("next_observations", found.last)),
            terminations=_float32(found.terminations),
            discounts=found.discounts,
            returns_to_go=to_go,
            next_actions=self.take("actions", found.next_actions) if next_actions else None,
        )

    def save(self, folder: Path | str) -> None:
        """Write a folder of one ``.npy`` file a column and ``metadata.json``; see ``headstart.data.folder``."""
        from headstart.data.folder import save

        save(self, folder)

    @classmethod
    def load(cls, folder: Path | str, memory_map: bool = True) -> Experience:
        """Read what ``save`` wrote.

        Args:
            folder: where it was saved.
            memory_map: leave columns on disk, read-only, and read rows when they are gathered.

        Raises:
            DataError: a file is missing, truncated, or not what ``metadata.json`` says.
        """
        from headstart.data.folder import load

        return load(folder, memory_map)


def concatenate(parts: Sequence[Experience], metadata: Mapping[str, Any] | None = None) -> Experience:
    """One dataset of all episodes of ``parts``, in memory; unfinished episodes are marked as truncated.

    Raises:
        DataError: the parts differ in observation shape or in actions.
    """
    if not parts:
        raise UsageError("nothing to concatenate; give at least one dataset")
    first = parts[0].spec
    for part in parts[1:]:
        if part.spec.observation.shape != first.observation.shape or part.spec.action != first.action:
            raise DataError(f"datasets of different worlds: {first} and {part.spec}")
    whole = [part.select(np.arange(len(part.episodes()))) for part in parts]
    columns = {name: np.concatenate([part.columns[name] for part in whole]) for name in COLUMNS}
    return Experience(first, columns, whole[0].metadata if metadata is None else metadata)


def _float32(column: Any) -> Any:
    return column.astype(np.float32, copy=False)
