"""What a check has to say, and a collection of it that says each thing once."""

import logging
from collections.abc import Callable, Iterable
from dataclasses import dataclass, field
from typing import Literal, TypeVar, get_args

from isonet2.errors import InputError, few

log = logging.getLogger(__name__)

T = TypeVar("T")
Severity = Literal["remark", "warning", "refusal"]
SEVERITIES: tuple[Severity, ...] = get_args(Severity)
"""From the least: good to know; probably wrong; nothing good can come of it."""


@dataclass(frozen=True, slots=True)
class Finding:
    """One thing that a check has found.

    Parameters
    ----------
    kind
        What is wrong, in a word or three; the same for all findings of a check's branch.
    severity
        A remark, a warning, or a refusal.
    sentence
        What is true, with figures, for a person to read.
    remedy
        What to do about it, or empty.
    tomogram
        Name of the tomogram it is true of, or empty.
    declared, measured
        What the table or the user says, and what the data say; None where that is no value.
    """

    kind: str
    severity: Severity
    sentence: str
    remedy: str = ""
    tomogram: str = ""
    declared: object = None
    measured: object = None

    @property
    def text(self) -> str:
        """Sentence and remedy."""
        return f"{self.sentence}; {self.remedy}" if self.remedy else self.sentence

    @property
    def record(self) -> dict[str, object]:
        """All but the tomogram's name, for a file."""
        return {
            "kind": self.kind,
            "severity": self.severity,
            "sentence": self.sentence,
            "remedy": self.remedy,
            "declared": self.declared,
            "measured": self.measured,
        }


@dataclass(slots=True)
class Findings:
    """Findings in the order of their coming."""

    all: list[Finding] = field(default_factory=list)

    def add(self, found: Iterable[Finding]) -> None:
        """Take in findings."""
        self.all.extend(found)

    def warn(self, text: str, tomogram: str = "", kind: str = "declared") -> None:
        """Note a warning that is said in one piece."""
        self.all.append(Finding(kind, "warning", text, tomogram=tomogram))

    def refuse(self, *texts: str, kind: str = "unusable") -> None:
        """Note what nothing good can come of."""
        self.all.extend(Finding(kind, "refusal", text) for text in texts)

    def attempt(self, action: Callable[[], T]) -> T | None:
        """Result of an action, or None and one more refusal."""
        try:
            return action()
        except InputError as error:
            self.refuse(*str(error).splitlines())
            return None

    @property
    def refused(self) -> bool:
        """Whether there is a refusal."""
        return any(finding.severity == "refusal" for finding in self.all)

    @property
    def worst(self) -> Severity | None:
        """The gravest severity; None where there is nothing to say."""
        found = {finding.severity for finding in self.all}
        return next((s for s in reversed(SEVERITIES) if s in found), None)

    @property
    def status(self) -> int:
        """Exit status of a command that reports them: 1 with warnings, 2 with refusals."""
        return {"warning": 1, "refusal": 2}.get(self.worst or "", 0)

    def grouped(self, severity: Severity) -> dict[str, list[str]]:
        """Texts of one severity, each with the names of the tomograms that it is true of."""
        texts: dict[str, list[str]] = {}
        for finding in self.all:
            if finding.severity == severity:
                names = texts.setdefault(finding.text, [])
                if finding.tomogram and finding.tomogram not in names:
                    names.append(finding.tomogram)
        return texts

    def tell(self) -> None:
        """Log remarks and warnings; raise the refusals together.

        Raises
        ------
        InputError
            With every refusal in a line of its own.
        """
        levels: dict[Severity, int] = {"remark": logging.INFO, "warning": logging.WARNING}
        for severity, level in levels.items():
            for text, names in self.grouped(severity).items():
                log.log(level, "%s%s", text, f" ({few(names)})" if names else "")
        if self.refused:
            raise InputError("\n".join(self.grouped("refusal")))
