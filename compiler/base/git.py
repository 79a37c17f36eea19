"""What Git has of a workspace at a revision.

Only objects are read: no index, no hook, no pager, no network, and no setting of the user that would
change what is read. Git's own settings stay in force where they say whether a repository may be trusted.
"""

from __future__ import annotations

import os
import re
import subprocess
import tempfile
from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import IO, NamedTuple

from compiler.base import files
from compiler.base.codes import Code
from compiler.base.diagnostics import Diagnostic, Stop

_COMMAND = ("git", "--no-pager", "--literal-pathspecs", "-c", "protocol.allow=never")
_ENVIRONMENT = {
    "LC_ALL": "C",
    "GIT_OPTIONAL_LOCKS": "0",
    "GIT_NO_LAZY_FETCH": "1",
    "GIT_NO_REPLACE_OBJECTS": "1",
    "GIT_TERMINAL_PROMPT": "0",
}
_OF_THE_CALLER = frozenset(
    {"GIT_DIR", "GIT_WORK_TREE", "GIT_INDEX_FILE", "GIT_PREFIX", "GIT_COMMON_DIR", "GIT_NAMESPACE", "GIT_PAGER",
     "GIT_LITERAL_PATHSPECS", "GIT_GLOB_PATHSPECS", "GIT_NOGLOB_PATHSPECS", "GIT_ICASE_PATHSPECS"}
)  # fmt: skip
"""A hook that calls slmc has these set for a repository that need not be the workspace's."""

_LINK, _SUBMODULE = "120000", "160000"
_SHORT = 10


@dataclass(frozen=True, slots=True)
class Revision:
    """A commit. `name` is how it was asked for, `folder` where the workspace lies below the top (`""` at the top)."""

    name: str
    commit: str
    folder: str

    @property
    def short(self) -> str:
        return self.commit[:_SHORT]


class Entry(NamedTuple):
    """A file of a tree; `path` is relative to the workspace, with `/`."""

    mode: str
    object: str
    path: str


def locate(workspace: Path, name: str) -> Revision:
    """The commit that `name` means in the repository of the workspace. Raises Stop when there is none."""
    inside = _git(workspace, "rev-parse", "--is-inside-work-tree", "--show-prefix")
    if inside.returncode or not inside.stdout.startswith(b"true\n"):
        raise Stop(_no_repository(inside.stderr))
    folder = os.fsdecode(inside.stdout.removeprefix(b"true\n").removesuffix(b"\n").removesuffix(b"/"))
    # A name that begins with `-` would be an option; Git lets no branch have one.
    if not name or name.startswith("-") or "\0" in name:
        raise Stop(_unknown(workspace, name))
    found = _git(workspace, "rev-parse", "--verify", "--quiet", "--end-of-options", f"{name}^{{commit}}")
    commit = found.stdout.decode("ascii", "replace").strip()
    if found.returncode or not re.fullmatch(r"[0-9a-f]{40,64}", commit):
        raise Stop(_unknown(workspace, name))
    return Revision(name, commit, folder)


def entries(workspace: Path, revision: Revision, skipped: Iterable[str] = ()) -> list[Entry]:
    """Every file that the workspace has at a revision, none when it is not there.

    What lies in the folders `skipped` at its top is left out, and costs nothing.
    """
    tree = f"{revision.commit}:{revision.folder}"
    top = _git(workspace, "ls-tree", "-z", "--full-tree", tree)
    if top.returncode:
        return []
    first = list(_parsed(top.stdout))
    folders = [entry.path for kind, entry in first if kind == "tree" and files.stays_below(entry.path)]
    folders = [path for path in folders if path not in skipped]
    found = [entry for kind, entry in first if kind != "tree"]
    if folders:
        found += _listed(workspace, tree, folders)
    return [entry for entry in found if files.stays_below(entry.path)]


def below(workspace: Path, revision: Revision, folders: Iterable[str]) -> list[str]:
    """The paths of the files that a workspace has at a revision in some folders of it. Raises Stop when Git refuses."""
    return [entry.path for entry in _listed(workspace, f"{revision.commit}:{revision.folder}", folders)]


def is_submodule(entry: Entry) -> bool:
    return entry.mode == _SUBMODULE


def is_link(entry: Entry) -> bool:
    return entry.mode == _LINK


def export(workspace: Path, chosen: Iterable[Entry], into: Path) -> None:
    """Write files of a revision below the empty folder `into`, as Git has them. Raises Stop when Git cannot give one.

    Links come last, so that nothing is written through one.
    """
    ordered = sorted((entry for entry in chosen if not is_submodule(entry)), key=lambda entry: (is_link(entry), entry))
    for entry, data in _contents(workspace, ordered):
        path = into / entry.path
        if is_link(entry):
            files.plant_link(path, os.fsdecode(data))
        else:
            files.plant(path, data)


def _contents(workspace: Path, chosen: list[Entry]) -> Iterator[tuple[Entry, bytes]]:
    """The content of each file, one at a time."""
    with tempfile.TemporaryFile() as asked:
        asked.write("".join(f"{entry.object}\n" for entry in chosen).encode())
        asked.seek(0)
        with _start(workspace, asked, "cat-file", "--batch") as git:
            assert git.stdout is not None
            for entry in chosen:
                words = git.stdout.readline().split()
                if len(words) != 3 or words[1] != b"blob":
                    raise Stop(_refused(b"it has no content for " + os.fsencode(entry.path)))
                yield entry, git.stdout.read(int(words[2]))
                git.stdout.read(1)


def _listed(workspace: Path, tree: str, folders: Iterable[str]) -> list[Entry]:
    """Every file in some folders of a tree, at any depth."""
    found = _git(workspace, "ls-tree", "-z", "-r", "--full-tree", tree, "--", *folders)
    if found.returncode:
        raise Stop(_refused(found.stderr))
    return [entry for _, entry in _parsed(found.stdout)]


def _parsed(listing: bytes) -> Iterator[tuple[str, Entry]]:
    """The lines of `git ls-tree -z`: kind (blob, tree, commit) and entry."""
    for line in listing.split(b"\0"):
        if line:
            head, _, path = line.partition(b"\t")
            mode, kind, name = head.decode("ascii").split()
            yield kind, Entry(mode, name, os.fsdecode(path))


def _git(workspace: Path, *arguments: str) -> subprocess.CompletedProcess[bytes]:
    with _start(workspace, subprocess.DEVNULL, *arguments) as git:
        out, err = git.communicate()
    return subprocess.CompletedProcess(arguments, git.returncode, out, err)


def _start(workspace: Path, asked: int | IO[bytes], *arguments: str) -> subprocess.Popen[bytes]:
    environment = {name: value for name, value in os.environ.items() if name not in _OF_THE_CALLER} | _ENVIRONMENT
    errors = subprocess.PIPE if asked is subprocess.DEVNULL else subprocess.DEVNULL
    try:
        return subprocess.Popen(
            [*_COMMAND, *arguments], cwd=workspace, env=environment, stdin=asked, stdout=subprocess.PIPE, stderr=errors
        )
    except OSError as error:
        why = "there is no `git` on PATH" if isinstance(error, FileNotFoundError) else str(error.strerror)
        help = "Install Git, or leave out `--against`."
        raise Stop(Diagnostic(Code.NO_GIT, f"Git cannot be used: {why}.", help=help)) from error


def _no_repository(said: bytes) -> Diagnostic:
    text = _first_line(said)
    if not text or text.startswith("not a git repository"):
        help = "Commit the workspace, or leave out `--against`."
        return Diagnostic(Code.NO_GIT, "The workspace is in no Git repository.", help=help)
    return _refused(said)


def _refused(said: bytes) -> Diagnostic:
    help = "`git status` in the workspace says more."
    return Diagnostic(Code.NO_GIT, f"Git refused: {_first_line(said)}.", help=help)


def _first_line(said: bytes) -> str:
    return said.decode("utf-8", "replace").strip().split("\n")[0].removeprefix("fatal: ")


def _unknown(workspace: Path, name: str) -> Diagnostic:
    shallow = _git(workspace, "rev-parse", "--is-shallow-repository").stdout.strip() == b"true"
    help = "`git branch --all` and `git log` show what there is."
    if shallow:
        help = "This clone is shallow. Fetch the revision first, such as with `git fetch --depth=1 origin main`."
    return Diagnostic(Code.UNKNOWN_REVISION, f"`{name}` names no commit of this repository.", help=help)
