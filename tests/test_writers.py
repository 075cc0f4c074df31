import pytest

from conftest import ROOT
from rehearsal.settings import load_settings
from rehearsal.writers import writer_in

WRITERS = load_settings(ROOT).production.writers
WRITE = [
    "docker push x",
    "docker --context prod push x",
    "docker -H tcp://there push x",
    "/usr/bin/docker push x",
    'docker p"us"h x',
    "docker $verb x",
    "$docker push x",
    "sudo docker push x",
    "sudo -u somebody docker push x",
    "env A=1 docker push x",
    "timeout 60 docker push x",
    "command -p docker push x",
    "echo x | xargs docker push",
    "bash -ec 'docker push x'",
    "docker compose push",
    "docker image push x",
    "docker manifest push x",
    "docker build --push .",
    "docker buildx build -t x --push .",
    "docker buildx build -o type=registry .",
    "docker buildx build --output=type=image,push=true .",
    "docker buildx bake --push",
    "docker buildx imagetools create -t x y",
    ".venv/bin/megalotron-images publish backend v1.0.0 --yes",
    "megalotron-images --debug publish backend v1.0.0 --yes",
    "python -m megalotron_images.cli promote backend v1.0.0 --yes",
    "megalotron-images publish backend v1.4.0 --yes --image --dry-run",
    "megalotron-images promote <stack> <version> --yes",
    "skopeo --debug copy docker://x docker://y",
    "curl -X PUT https://ghcr.io/v2/x/manifests/y",
    "curl -T manifest.json https://ghcr.io/v2/x/manifests/y",
    "crane cp x y",
    "docker buildx build --output type=image,push=1 .",
    "if true; then docker push x; fi",
    "published=$(docker push x)",
    "f() { docker push x; }",
]
READ = [
    "docker pull x",
    "docker build --quiet --tag x .",
    "docker image ls",
    "echo docker push",
    "git push origin v1.0.0",
    "megalotron-images status",
    "megalotron-images publish <stack> <version> --image <stack>:local --dry-run",
    "# docker push x",
    "docker login ghcr.io -u <your GH username> --password-stdin",
    "docker pull $image",
    "curl -fsS https://ghcr.io/v2/",
]


@pytest.mark.parametrize("script", WRITE)
def test_a_command_that_writes_is_known_however_it_is_spelled(script):
    assert writer_in(script, WRITERS)


@pytest.mark.parametrize("script", READ)
def test_a_command_that_only_reads_is_let_through(script):
    assert writer_in(script, WRITERS) is None
