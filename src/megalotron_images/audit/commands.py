"""What commands write to registries: docker and its kin, builders, scripts.

Each function takes a command's words, notes the facts, and returns what the command prints; None
where that is unknown.
"""

import re
from functools import partial, reduce
from itertools import dropwhile

from megalotron_images.audit import buildx, compose, filters, makefiles, releasers, scripts
from megalotron_images.audit.expansions import parameters
from megalotron_images.audit.knowledge import ENGINES, FUNCTIONS, PATTERNS, PROGRAMS, QUIET, VALUED
from megalotron_images.audit.model import PUSHES, How, Rule, Run
from megalotron_images.audit.shell import FOLDER, Handler, Shell
from megalotron_images.audit.texts import either, expand, has_holes, holes, show, unknown, variants
from megalotron_images.audit.words import flag, operands, option, options

_COPIERS = ("skopeo", "crane", "gcrane", "regctl", "oras")
_GROUPS = ("image", "images", "i", "buildx", "builder", "plugin")
"""Words before an engine's verb."""
_SECRET = re.compile(r"secrets\.\w*(REGISTRY|DOCKER|GHCR|CR_PAT|PASSWORD|PACKAGES)", re.IGNORECASE)


def handle(shell: Shell, words: list[str], stdin: str) -> str | None:
    """Note what a command does; return what it prints, None where that is unknown."""
    words = list(dropwhile(PATTERNS["prefixes"].fullmatch, words))
    if not words:
        return None
    for at, word in enumerate(words):
        if len(parts := variants(word) if not word[1:] else ()) > 1:
            chosen = ([one] if at and one[:1] not in ("", "-") else one.split() for one in parts)
            rows = ([*words[:at], *one, *words[at + 1 :]] for one in chosen)
            printed = [handle(shell, row, stdin) for row in rows]
            return either(filter(None, printed)) if any(printed) else None
    name = _name(words)
    if name in _HANDLERS:
        return _HANDLERS[name](shell, words[1:], stdin)
    stdin = stdin or _read(shell, name, words[1:])
    if stdin and (filtered := filters.filtered([name, *words[1:]], stdin)) is not None:
        return filtered
    if (inner := _inner(name, words)) is not None:
        return handle(shell, inner, stdin)
    return scripts.called(shell, words, stdin)


def _inner(name: str, words: list[str]) -> list[str] | None:
    """Return the command that another one runs, as `nice docker push` and `su -c '…'` do."""
    if name in QUIET:
        return None
    for at, word in enumerate(words[1:], 1):
        base, verb = word.rpartition("/")[2], "".join(words[at + 1 : at + 2])
        if base in _COPIERS or (base in ENGINES and verb in (*_VERBS, *_GROUPS)):
            return words[at:]
        if re.fullmatch(r"-\w*c", words[at - 1]) and PATTERNS["pushing_text"].search(show(word)):
            return ["bash", "-c", word]
    return None


def _name(words: list[str]) -> str:
    """Return a program's name without its folder; a variable with an engine's verb is an engine."""
    name = words[0].rpartition("/")[2]
    is_engine = ENGINES & set(expand(name, False)) or {*words[1:2]} & set(_VERBS)
    return "docker" if has_holes(name) and is_engine else name


def _read(shell: Shell, name: str, words: list[str]) -> str:
    """Return the text of the file that a text tool is given."""
    if words and words[-1][:1] != "-" and shell.usual(words[-1:]):
        return shell.read(words[-1])
    return "".join(map(shell.read, operands(words))) if name == "cat" else ""


def _tee(shell: Shell, words: list[str], stdin: str) -> str | None:
    for path in operands(words):
        shell.write(path, stdin, flag(words, "-a", "--append"))
    return stdin


def _each(shell: Shell, words: list[str], stdin: str) -> str | None:
    """Follow what `xargs` runs, for each word that it reads or for all; alone it prints them."""
    rest = list(dropwhile(lambda one: re.fullmatch(r"-.*|\d+|\{\}", one), words))
    is_single = any(one[:2] in ("-n", "-I", "-i", "-L") for one in words) or ":::" in words
    for items in [[one] for one in stdin.split()] if is_single else [stdin.split()]:
        held = [one.replace("{}", " ".join(items)) for one in rest]
        handle(shell, held if held != rest else [*rest, *items], "") if rest else None
    return None if rest else stdin.strip()


def _engine(shell: Shell, words: list[str], stdin: str) -> str | None:
    """Note what docker, podman, buildah and the like do."""
    while words and words[0][:1] == "-":
        words = words[2 if words[0] in VALUED else 1 :]
    verb, rest = (words[0], words[1:]) if words else ("", [])
    if verb in _GROUPS and rest:
        verb, rest = rest[0], rest[1:]
    if verb in ("pull", "run", "compose", "stack", "create", "from"):
        shell.run.read()
    return _VERBS[verb](shell, rest, stdin) if verb in _VERBS else None


def _push(shell: Shell, words: list[str], stdin: str) -> None:
    """Note `push`: podman and buildah may be given where to, as a second operand."""
    for creds in options(words, "--creds"):
        username, _, password = creds.partition(":")
        target = (operands(words) or [""])[-1].removeprefix("docker://")
        shell.run.login(target.partition("/")[0], username, password, How.ARGUMENT)
    names = operands(words, VALUED - {"-p", "-f", "-c", "-t", "-u", "-l"})[-1:]
    if flag(words, "-a", "--all-tags") and names:
        tagged = [one for one in shell.run.tagged if one.rpartition(":")[0] == names[0]]
        names = tagged or [f"{names[0]}:{unknown('all tags that are there locally')}"]
    for name in names or [unknown("what is pushed")]:
        shell.run.push(name)


def login(shell: Shell, words: list[str], stdin: str) -> None:
    """Note `login`."""
    given = options(words, "-p", "--password")
    registry = "".join(operands(words)[:1])
    username = option(words, "-u", "--username") or unknown("a user name that is not seen")
    password = stdin.strip() or unknown("a password that is not seen")
    how = How.ARGUMENT if given else How.SAFE
    shell.run.login(registry, username, [*given, password][0], how)


def written_login(shell: Shell, words: list[str], stdin: str) -> None:
    """Note a configuration with a login that is written by hand."""
    text = words[0] if words else ""
    if "auth" not in text and not holes(text):
        return
    host = re.search(r'"auths?"\s*:\s*\{\s*"([^"]+)"', text)
    secrets = [one for one in text if has_holes(one) and show(one).startswith("<secrets.")]
    username = secrets[0] if secrets[1:] else unknown("a user name in a file")
    password = secrets[-1] if secrets else unknown("a password in a file")
    shell.run.login(host[1] if host else unknown("a registry"), username, password, How.WRITTEN)


def _build(shell: Shell, words: list[str], stdin: str) -> None:
    """Note `build`, with `--push` or an output to a registry, and caches that it exports."""
    tags = options(words, "-t", "--tag")
    shell.run.tagged += tags
    for argument in options(words, "--build-arg"):
        if _SECRET.search(show(argument)):
            shell.run.login("ghcr.io", unknown("a name"), argument.partition("=")[2], How.BUILD)
    if flag(words, "--push", "--publish"):
        for tag in tags or operands(words)[:1]:
            shell.run.push(tag)
    buildx.outputs(shell.run, options(words, "-o", "--output"), tags)
    buildx.caches(shell.run, options(words, "--cache-to"))


def container(shell: Shell, words: list[str], stdin: str) -> None:
    """Note builders and copiers that are run in a container: `words` are those of `docker run`."""
    rest = list(words)
    while rest and rest[0][:1] == "-":
        rest = rest[2 if PATTERNS["run_valued"].fullmatch(rest[0]) else 1 :]
    tool = PATTERNS["containers"].search("".join(rest[:1]))
    if rest[1:2] and (rest[1] in ENGINES or re.fullmatch("-[a-z]*c", "".join(rest[2:3]))):
        handle(shell, rest[1:], stdin)
    elif tool:
        name = "executor" if tool[0] == "kaniko" else tool[0]
        handle(shell, rest[1:] if rest[1:2] == [name] else [name, *rest[1:]], stdin)


def _echo(shell: Shell, words: list[str], stdin: str) -> str | None:
    """Return what `echo` and `printf` print; the old commands that set outputs are kept in it."""
    ends = "" if words[:1] == ["-n"] else "\n"
    words = [one for one in words if one not in ("-n", "-e", "-ne", "-en")]
    text = " ".join(words)
    if match := re.match(r"::set-(output|env) name=([\w-]+)::(.*)", text, re.DOTALL):
        path = "$GITHUB_OUTPUT" if match[1] == "output" else "$GITHUB_ENV"
        shell.run.files[path] = shell.run.files.get(path, "") + f"{match[2]}={match[3]}\n"
        shell.run.bind(match[3], shell.run.place)
    return text.replace("\\n", "\n") + ends


def _read_words(shell: Shell, words: list[str], stdin: str, sign: str = "") -> None:
    """Set what `read` and `mapfile` read: a variable for each word, or an array of all."""
    is_array = bool(sign) or any(re.fullmatch(r"-\w*a", one) for one in words)
    parts = re.split(rf"[{re.escape(sign or shell.env.get('IFS') or ' ')}\n]+", stdin.strip())
    names = [one for one in words if one.isidentifier()]
    rest = [" ".join(parts)] if is_array else [*parts, *[""] * len(names)]
    rest = rest if stdin else [unknown("a line read")] * len(names)
    shell.env |= dict(zip(names, rest, strict=False))


def _printf(shell: Shell, words: list[str], stdin: str) -> str | None:
    """Return what `printf` prints: its form is used again until all words are in it."""
    form, *given = [one.replace("\\n", "\n") for one in words if one != "--"] or [""]
    form = re.sub("%[qbd]", "%s", form)
    count = form.count("%s") or len(given) or 1
    rows = [given[at : at + count] for at in range(0, len(given) or 1, count)]
    fields = ([*row, *[""] * form.count("%s")] for row in rows)
    return "".join(reduce(lambda text, one: text.replace("%s", one, 1), r, form) for r in fields)


def _judged(shell: Shell, words: list[str], stdin: str) -> None:
    """Note a push by `megalotron-images`, which holds to the convention itself."""
    name, _, tag = words[0].rpartition(":")
    held = unknown(show(tag), ("main",)) if has_holes(tag) else tag
    shell.run.push(f"{name}:{held}", judged=True)


def _program(shell: Shell, words: list[str], stdin: str, name: str) -> str | None:
    """Follow the commands that do the same as a program; return what they print."""
    run, found = shell.run.deeper(shell.run.place), operands(words)
    values = {"all": " ".join(words), "list": ",".join(found), "last": "".join(found[-1:])}
    values["hidden"] = " ".join(one for one in words if has_holes(one[:1]))
    for word, after in zip(words, [*words[1:], "-"], strict=False):
        key, sign, value = word.partition("=")
        if key[:1] == "-":
            key = f"_{re.sub(r'[^A-Za-z0-9]', '_', key.lstrip('-'))}"
            value = value if sign else "true" if after[:1] == "-" else after
            values[key] = f"{values[key]}\n{value}" if key in values else value
    if run is None:
        return None
    return equivalent(run, shell.env, values | parameters(found), PROGRAMS[name], stdin) or None


def equivalent(
    run: Run, env: dict[str, str], given: dict[str, str], text: str, stdin: str = ""
) -> str:
    """Follow the commands that do the same as a program or an action; return what they print.

    given: their own variables, those in lower case; what is not given is empty.
    """
    text = f"{FUNCTIONS}\n{text}"
    empty = dict.fromkeys(re.findall(r"\$\{?([a-z_]\w*)", text), "")
    return Shell(run, env | empty | given, handle, has_lines=False).follow(text, stdin)


_VERBS: dict[str, Handler] = {
    "push": _push,
    "login": login,
    **dict.fromkeys(("build", "bud", "b"), _build),
    "tag": lambda shell, words, stdin: shell.run.tagged.extend(operands(words)[1:]),
    "compose": compose.compose,
    **{one: partial(_program, name=one) for one in ("manifest", "imagetools", "service")},
    "bake": buildx.bake,
    **dict.fromkeys(("run", "exec"), container),
}
"""What an engine's commands do."""
_HANDLERS: dict[str, Handler] = {
    **dict.fromkeys(ENGINES, _engine),
    **{one: partial(_program, name=one) for one in PROGRAMS},
    "echo": _echo,
    "printf": _printf,
    **dict.fromkeys(("xargs", "parallel"), _each),
    **dict.fromkeys(("mapfile", "readarray"), partial(_read_words, sign="\n")),
    "read": _read_words,
    "pwd": lambda shell, words, stdin: shell.env.get(FOLDER) or ".",
    "popd": lambda shell, words, stdin: shell.env.update({FOLDER: ""}),
    "tee": _tee,
    **dict.fromkeys(("cd", "pushd"), lambda shell, words, stdin: shell.enter(*operands(words)[:1])),
    "make": makefiles.make,
    "judged": _judged,
    "deployed": lambda shell, words, stdin: shell.run.deploy(words[0]),
    "written-login": written_login,
    "doubt": lambda shell, words, stdin: shell.run.doubt(
        show(words[0]), tuple(map(Rule, words[1:])) or PUSHES
    ),
    "jib-image": releasers.jib_image,
    "goreleaser": releasers.goreleaser,
}
