"""The verb `audit`."""

import sys

import click

from megalotron_images import arguments, output
from megalotron_images.audit.verb import answer


@click.command(epilog="Example: megalotron-images audit . --repository megalotron/backend")
@click.argument("folder", help="A repository's folder.")
@click.option(
    "--repository", default="", metavar="OWNER/NAME", help="The value of ${{ github.repository }}."
)
@click.option("--github", is_flag=True, help="Print annotations for a workflow's log.")
@arguments.as_json
def command(folder: str, repository: str, github: bool, as_json: bool) -> None:
    """Check whether a repository follows the process.

    It reads workflows and deployments. What they do not show is "cannot tell", never "ok".
    """
    if repository and repository.count("/") != 1:
        raise click.BadParameter("--repository takes OWNER/NAME.")
    text, data, status = answer(folder, repository, github)
    output.answer(text, data, as_json)
    sys.exit(status)
