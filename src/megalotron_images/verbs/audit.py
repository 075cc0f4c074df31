"""The verb `audit`."""

import sys
from pathlib import Path

import click

from megalotron_images import arguments, output
from megalotron_images.errors import CannotTell

_INSTALL = "pip install 'image-process[audit] @ git+https://github.com/Megalotron/image-process'"


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
    try:
        from megalotron_images.audit import report
        from megalotron_images.audit.repository import audit
    except ModuleNotFoundError as error:
        raise CannotTell(f"{error.name} is missing: install the extra, {_INSTALL}") from None
    found = audit(Path(folder), repository)
    text = report.annotations(found) if github else report.text(found)
    output.answer(text, report.data(found), as_json)
    sys.exit(report.status(found))
