"""How the tensors of a file meet those of a model, and when a file is refused for it."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass
from functools import cached_property

from torch import Tensor, nn
from torch.nn.parameter import UninitializedParameter

from thingstuff.engine.weights.heads import Shape, head_of, head_words
from thingstuff.errors import WeightsError

_LEAST_SHARE = 0.5  # of a file's tensors that must find their place, or it was made for another model
_NOT_LEARNED = ("pixel_mean", "pixel_std", "anchor_generator.cell_anchors")  # old files hold them; configs tell them


@dataclass(frozen=True)
class Fit:
    """Names of tensors: `missing` ones are in the model alone, `unplaced` ones in the file alone."""

    file: str
    in_file: Mapping[str, Shape]
    in_model: Mapping[str, Shape]
    missing: tuple[str, ...]
    unplaced: tuple[str, ...]

    @classmethod
    def by_name(cls, file: str, state: Mapping[str, Tensor], model: nn.Module) -> Fit:
        in_file = {name: tuple(value.shape) for name, value in state.items()}
        in_model = {name: _shape(value, in_file.get(name, ())) for name, value in model.state_dict().items()}
        missing = tuple(learned(name for name in in_model if name not in in_file))
        return cls(file, in_file, in_model, missing, tuple(learned(n for n in in_file if n not in in_model)))

    @cached_property
    def reshaped(self) -> tuple[str, ...]:
        """In both, with different shapes."""
        return tuple(n for n, shape in self.in_model.items() if self.in_file.get(n, shape) != shape)

    @cached_property
    def matched(self) -> tuple[str, ...]:
        apart = {*self.missing, *self.reshaped}
        return tuple(learned(name for name in self.in_model if name not in apart))

    @cached_property
    def heads(self) -> dict[str, list[str]]:
        """The tensors that differ in their number of classes, by head."""
        found: dict[str, list[str]] = {}
        for name in self.reshaped:
            if head := head_of(name, self.in_file[name], self.in_model[name]):
                found.setdefault(head, []).append(name)
        return found

    def words(self, head: str) -> str:
        return head_words(self.heads[head], self.in_file, self.in_model)

    def heads_in_words(self) -> str:
        return ", ".join(f"{head} ({self.words(head)})" for head in self.heads)


def learned(names: Iterable[str]) -> Iterator[str]:
    """Those that a training changes, or changed once."""
    return (name for name in names if not any(part in name for part in _NOT_LEARNED))


def _shape(value: Tensor, of_file: Shape) -> Shape:
    """A lazy parameter takes the shape that it is given."""
    return of_file if isinstance(value, UninitializedParameter) else tuple(value.shape)


def refuse_shapes(fit: Fit, remedy: str) -> None:
    """WeightsError for shapes that differ elsewhere than in heads, and, with a `remedy`, for those of heads."""
    of_heads = {name for names in fit.heads.values() for name in names}
    elsewhere = [name for name in fit.reshaped if name not in of_heads]
    if elsewhere:
        name = elsewhere[0]
        example = f"{name}, which is {fit.in_file[name]} there and {fit.in_model[name]} here"
        found = sum(fit.in_file.get(n) == shape for n, shape in fit.in_model.items())
        raise _of_another_model(fit, found, example)
    if fit.heads and remedy:
        raise WeightsError(
            f"{fit.file} has other classes than this model: {fit.heads_in_words()}: {remedy}{_or_another_model(fit)}"
        )


def _or_another_model(fit: Fit) -> str:
    """Models of two families may each have a head of the same name."""
    if not (fit.missing and fit.unplaced):
        return ""
    return (
        f". Or it is of another model: it lacks {len(fit.missing)} parameters of this one ({fit.missing[0]} is absent) "
        f"and has {len(fit.unplaced)} that are not in it"
    )


def refuse_another_model(fit: Fit) -> None:
    """WeightsError where most of the file finds no place."""
    found, total = len(fit.in_file) - len(fit.unplaced) - len(fit.reshaped), len(fit.in_file)
    if found < max(1, _LEAST_SHARE * total):
        raise _of_another_model(fit, max(found, 0), next(iter([*fit.reshaped, *fit.unplaced]), "none"))


def refuse_lacking(fit: Fit, key: str) -> None:
    """WeightsError where a parameter of the model would keep its random values."""
    if not fit.missing:
        return
    hint = "pass the config that it was trained with"
    if all(name.startswith("sem_seg_head.") for name in fit.missing):
        hint = "its semantic head is still to be trained; PANOPTIC.STUFF model or files need no training"
    raise WeightsError(
        f"{fit.file} ({key}) lacks {len(fit.missing)} parameters of this model ({fit.missing[0]} is absent): {hint}"
    )


def _of_another_model(fit: Fit, found: int, example: str) -> WeightsError:
    return WeightsError(
        f"{fit.file} was made for another model: {found} of its {len(fit.in_file)} tensors fit this config "
        f"(not, for example, {example})"
    )
