"""The command line of `megalotron-images`: its verbs, each loaded from its file when it is called.

Answers go to stdout, all else to stderr.
"""

from importlib import import_module

import click
from click.exceptions import NoSuchCommand

_EPILOG = """
Exit status: 0 done, or all is well; 1 a rule says no, or someone else was first; 2 wrong command
line; 3 no reliable answer. With --debug before the command an error shows its traceback.

Environment: REGISTRY_USERNAME and REGISTRY_TOKEN log in, before Docker's own logins;
MEGALOTRON_IMAGES_SECONDS is how long one request may take; DOCKER_HOST and DOCKER_CONTEXT choose
the engine; HTTPS_PROXY and NO_PROXY the proxy.
"""
VERBS = (
    "check",
    "status",
    "running",
    "digest",
    "next",
    "publish",
    "promote",
    "tags-for",
    "doctor",
    "audit",
)


class _Verbs(click.Group):
    """The verbs in the order of `VERBS`: what one needs, the others need not load."""

    def list_commands(self, ctx: click.Context) -> list[str]:
        return list(VERBS)

    def get_command(self, ctx: click.Context, cmd_name: str) -> click.Command:
        if cmd_name not in VERBS:
            raise NoSuchCommand(cmd_name, possibilities=VERBS, ctx=ctx)
        module = import_module(f"megalotron_images.verbs.{cmd_name.replace('-', '_')}")
        command: click.Command = module.command
        command.name = cmd_name
        return command


@click.group(cls=_Verbs, epilog=_EPILOG)
@click.version_option(
    package_name="image-process", message="%(version)s", help="Print the version, and end."
)
def app() -> None:
    """Megalotron's image process: check, publish and promote images without losing a release."""
