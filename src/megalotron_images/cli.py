"""The command line of `megalotron-images`: its verbs, each loaded from its file when it is called.

Answers go to stdout, all else to stderr.
"""

from importlib import import_module
from pathlib import Path

import click

_EPILOG = """
Exit status: 0 done, or all is well; 1 a rule says no, or someone else was first; 2 wrong command
line; 3 no reliable answer. With --debug before the command an error shows its traceback.

Environment: REGISTRY_USERNAME and REGISTRY_TOKEN log in, before Docker's own logins;
MEGALOTRON_IMAGES_SECONDS is how long one request may take; DOCKER_HOST and DOCKER_CONTEXT choose
the engine; HTTPS_PROXY and NO_PROXY the proxy.
"""
_VERBS = [
    file.stem.replace("_", "-") for file in Path(__file__).with_name("verbs").glob("[a-z]*.py")
]


class _Verbs(click.Group):
    """The verbs: what one needs, the others need not load."""

    def get_command(self, ctx: click.Context, cmd_name: str) -> click.Command | None:
        if cmd_name not in self.commands:
            return None
        module = import_module(f"megalotron_images.verbs.{cmd_name.replace('-', '_')}")
        command: click.Command = module.command
        command.name = cmd_name
        return command


@click.group(cls=_Verbs, epilog=_EPILOG, commands=[click.Command(verb) for verb in _VERBS])
@click.version_option(
    package_name="image-process", message="%(version)s", help="Print the version, and end."
)
def app() -> None:
    """Megalotron's image process: check, publish and promote images without losing a release."""
