"""The verb `check`."""

import sys

import click

from megalotron_images import arguments
from megalotron_images.check import examine
from megalotron_images.findings import print_findings
from megalotron_images.plan import LocalImage


@click.command(
    epilog="Example: megalotron-images check ghcr.io/megalotron/backend:v1.4.0 --image backend"
)
@arguments.reference
@click.option(
    "--image", default="", metavar="LOCAL", help="An image in your engine, for its platform."
)
@arguments.revision
@click.option("--provenance", is_flag=True, help="Require provenance too: how it was built.")
@arguments.as_json
def command(reference: str, image: str, revision: str, provenance: bool, as_json: bool) -> None:
    """Check whether an image may be published.

    Looked at are its name, its tag, its version and its platforms.
    """
    local = _local_image(image) if image else None
    sys.exit(print_findings(examine(reference, local, revision, provenance), as_json))


def _local_image(name: str) -> LocalImage:
    from megalotron_images.engine import Engine  # Docker's SDK takes longer to load than all else

    return Engine().image(name)
