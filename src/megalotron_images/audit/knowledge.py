"""What is known about machines, actions and programs: the tables of `knowledge.toml`."""

import re
import tomllib
from collections.abc import Mapping
from importlib.resources import files
from typing import Any

_TABLES = tomllib.loads(files(__package__).joinpath("knowledge.toml").read_text())
ENGINES, VALUED, SCRIPTS, QUIET, RELEASERC = (
    frozenset(_TABLES["words"][one].split())
    for one in ("engines", "valued", "scripts", "quiet", "releaserc")
)
"""Programs with docker's verbs, options that have a value, keys above shell commands, programs
whose words name engines but run none, and the settings of semantic-release.
"""
PATTERNS = {name: re.compile(text.replace("\n", "")) for name, text in _TABLES["patterns"].items()}
"""What names and texts say of pushing."""
EXAMPLES: list[str] = _TABLES["examples"]
"""What an unknown part of a text may be."""
MEND: Mapping[str, str] = _TABLES["mend"]
"""How to mend what violates a rule."""
MACHINES: Mapping[str, str] = _TABLES["machines"]
"""Patterns of files, and which machine runs them."""
CONTEXT: Mapping[str, Any] = _TABLES["context"]
"""GitHub's context `github`, with names in braces, and what is `known` of some of these."""
GITLAB: Mapping[str, list[str]] = _TABLES["gitlab"]
"""Variables that GitLab sets: how each begins, what the rest is, and examples of it."""
FIELDS: Mapping[str, list[str]] = _TABLES["fields"]
"""Fields of GoReleaser's templates: what each is, and an example."""
_SPEAKING = {k: f"pattern='{one}'\nspeaks $all" for k, one in _TABLES["speaking"].items()}
PROGRAMS: Mapping[str, str] = _SPEAKING | _TABLES["programs"]
"""Programs, and the shell commands that do the same."""
ACTIONS: Mapping[str, str] = _TABLES["actions"]
"""Patterns of actions, and the shell commands that do the same."""
FUNCTIONS: str = _TABLES["functions"]
"""Shell functions that these commands call."""
