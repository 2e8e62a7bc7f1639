import re
from importlib import import_module
from pathlib import Path

import pytest

from isonet2.networks import NETWORKS
from isonet2.parameters import ARCHITECTURES, COMMANDS, RefineParameters
from isonet2.parameters.base import choices
from isonet2.physics.ctf import CTF_MODES
from isonet2.physics.noise import NOISE_MODES
from isonet2.training.losses import LOSSES
from isonet2.training.objectives import METHODS

ROOT = Path(__file__).parents[1]
PACKAGE = ROOT / "src/isonet2"


def test_every_module_has_a_line_in_the_architecture_and_every_line_a_module():
    text = (ROOT / "ARCHITECTURE.md").read_text(encoding="utf-8")
    lines = re.findall(r"^- `([\w/]+\.py)` - \S", text, re.MULTILINE)
    modules = {path.relative_to(PACKAGE).as_posix() for path in PACKAGE.rglob("*.py")}
    assert len(lines) == len(set(lines))
    assert set(lines) == modules


def test_links_between_documents_lead_somewhere():
    for page in [*ROOT.glob("*.md"), *ROOT.glob("docs/*.md")]:
        for target in re.findall(r"\]\((?!https?:|#)([^)#]+)", page.read_text(encoding="utf-8")):
            assert (page.parent / target).exists(), f"{page.name} links to {target}"


@pytest.mark.parametrize(
    ("field", "registry"),
    [
        ("CTF_mode", CTF_MODES),
        ("loss_func", LOSSES),
        ("noise_mode", NOISE_MODES),
        ("method", {"auto", *METHODS} - {"n2n"}),
    ],
)
def test_choices_that_a_user_has_are_those_that_the_program_knows(field, registry):
    assert set(choices(RefineParameters.model_fields[field])) == set(registry)


def test_every_network_and_command_that_a_user_can_name_exists():
    assert set(ARCHITECTURES) == set(NETWORKS)
    for name in COMMANDS:
        assert callable(getattr(import_module(f"isonet2.commands.{name}"), name))
