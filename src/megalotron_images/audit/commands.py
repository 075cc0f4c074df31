"""What commands write to registries: docker and its kin, builders, scripts.

Each function takes a command's words, notes the facts, and returns what the command prints; None
where that is unknown.
"""

from functools import partial

from megalotron_images.audit import builders

_PREFIXES = {"sudo", "time", "exec", "command", "nohup", "eval", "then", "do", "retry"}
_ENGINES = {"docker", "podman", "buildah", "nerdctl", "img", "docker-compose", "podman-compose"}
_VALUED = {"--platform", "--authfile", "--creds", "--format", "--digestfile", "--sign-by", "-f"}
_VALUED |= {"--cert-dir", "--compression-format", "--config", "-H", "--host", "--context", "-c"}
_VALUED |= {"--log-level", "-l", "--retry-times", "--src-creds", "--dest-creds", "--policy", "-p"}
_VALUED |= {"--file", "--project-name", "--src-tls-verify", "--dest-tls-verify", "--annotation"}
_VALUED |= {"--override-arch", "--override-os", "--command-timeout", "--tag", "-t", "-u", "--root"}
_VALUED |= {"--username", "--password", "--profile", "--env-file", "--artifact-type", "--registry"}
_PUSHING = {
    "helm": r"\bpush\b",
    "dotnet": "PublishContainer|ContainerRe(gistry|pository)",
    "nix": r"push|copyTo|docker:",
    **{name: partial(_speaking, pattern=one) for name, one in _PUSHING.items()},
    "buildctl": _buildctl,
    "buildctl-daemonless.sh": _buildctl,
    "pack": _pack,
    "echo": _echo,
    "printf": _printf,
    "git": _git,
    "date": _date,
    "megalotron-images": _helper,
    "written-login": _wrote,
    "ko": builders.ko,
    "goreleaser": builders.goreleaser,
}
