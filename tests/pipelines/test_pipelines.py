"""The pipelines that `slmc init` writes: read by their forges' schemas, with few rights, and their steps really run."""

from __future__ import annotations

import json
import re
import shutil
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from http.server import BaseHTTPRequestHandler, HTTPServer
from pathlib import Path
from typing import Any

import pytest

import compiler
from tests.conftest import REPOSITORY
from tests.pipelines.runner import PIPELINES, Runner, github, gitlab
from tests.tools import run

WORKFLOW = ".github/workflows/slmc.yaml"
ACTION = ".github/actions/slmc/action.yaml"
MARKER = "<!-- slmc plan -->\n"
CLASSES = ["counter-pi", "office-n100"]


@pytest.mark.parametrize(
    ("schema", "file", "written", "wrong"),
    [
        ("github-workflows", f"github/{WORKFLOW}", "runs-on:", "run-on:"),
        ("github-actions", f"github/{ACTION}", "using: composite", "using: shell"),
        ("gitlab-ci", "gitlab/.gitlab-ci.yml", "interruptible: true", "interruptible: maybe"),
    ],
)
def test_the_schema_accepts_it(schema: str, file: str, written: str, wrong: str, tmp_path: Path) -> None:
    command = ["check-jsonschema", "--builtin-schema", f"vendor.{schema}", "--color", "never"]
    if schema == "gitlab-ci":
        command += ["--data-transform", "gitlab-ci"]
    done = run(*command, PIPELINES / file)
    assert done.returncode == 0, done.stdout + done.stderr
    broken = tmp_path / "broken.yaml"
    broken.write_text((PIPELINES / file).read_text(encoding="utf-8").replace(written, wrong))
    assert run(*command, broken).returncode == 1


def test_both_install_the_version_that_wrote_them() -> None:
    assert f'pip install "slmc[test]=={compiler.__version__}"' in (PIPELINES / "github" / ACTION).read_text()
    assert gitlab()["variables"]["SLMC_PACKAGE"] == f"slmc[test]=={compiler.__version__}"


def test_nothing_is_named_by_a_tag_that_can_move() -> None:
    used = re.findall(r"uses: (.*)", "".join((PIPELINES / "github" / name).read_text() for name in (WORKFLOW, ACTION)))
    assert {name for name in used if not re.fullmatch(r"actions/[a-z-]+@[0-9a-f]{40} # v[\d.]+", name)} == {
        "./.github/actions/slmc"
    }
    assert re.fullmatch(r"python:[\w.-]+@sha256:[0-9a-f]{64}", gitlab()["default"]["image"])


def test_each_job_has_the_rights_that_it_needs() -> None:
    workflow = github()
    assert workflow["permissions"] == {}
    read = {"contents": "read"}
    assert {name: job["permissions"] for name, job in workflow["jobs"].items()} == {
        "check": read,
        "comment": {"pull-requests": "write"},
        "build": read,
        "artifacts": read,
        "test": read,
        "release": {"contents": "write"},
    }
    for name, job in workflow["jobs"].items():
        for step in job["steps"]:
            assert "${{" not in step.get("run", ""), "a value would become shell"
            if "checkout@" in step.get("uses", ""):
                assert step.get("with", {}).get("persist-credentials", True) == (name == "release")
        assert job["timeout-minutes"] <= 120
    assert [name for name, job in workflow["jobs"].items() if "secrets." in json.dumps(job)] == ["release"]
    assert workflow["jobs"]["release"]["environment"] == "production"


def prepared(folder: Path, pipeline: str) -> Runner:
    """A repository with the example and the pipeline, whose branch changes an overlay and is compiled."""
    runner = Runner(folder)
    repository = Path(shutil.copytree(REPOSITORY / "blueprints" / "hello", folder / "repository"))
    shutil.copytree(PIPELINES / pipeline, repository, dirs_exist_ok=True)
    runner.git("init", "--quiet", "--bare", str(folder / "origin"), cwd=folder)
    runner.git("init", "--quiet", "--initial-branch=main")
    runner.git("add", ".")
    runner.git("commit", "--quiet", "--message", "Start")
    runner.git("remote", "add", "origin", str(folder / "origin"))
    runner.git("push", "--quiet", "origin", "main")
    runner.git("switch", "--quiet", "--create", "change")
    blueprint = repository / "hello.slmc.yaml"
    blueprint.write_text(blueprint.read_text(encoding="utf-8").replace("threads: 2", "threads: 3"), encoding="utf-8")
    done = runner.shell("slmc compile . && git add .", {"SLMC_STORE": str(folder / "first store")})
    assert done.returncode == 0, done.stderr
    runner.git("commit", "--quiet", "--message", "Three threads")
    return runner


def blobs(folder: Path, stores: str) -> set[str]:
    """What the stores hold. A build that is done again measures other speeds, which are a blob too."""
    return {path.name for path in folder.glob(f"{stores}/blobs/sha256/*")}


@pytest.mark.slow
def test_the_steps_of_github_run(tmp_path: Path) -> None:
    runner, workflow = prepared(tmp_path, "github"), github()
    runner.environment |= {"GITHUB_BASE_REF": "main", "GITHUB_REPOSITORY": "shop/tills", "COMMENTS": ""}
    runner.values |= {"strategy.job-total": "3", "github.token": "t", "github.event.number": "7"}
    assert json.loads(runner.github_job(workflow, "check")["classes"]) == CLASSES
    plan = (tmp_path / "uploads" / "plan" / "plan.md").read_text(encoding="utf-8")
    assert plan.startswith(MARKER)
    assert "5 of 24 devices are touched" in plan
    assert (tmp_path / "temp" / "summary").read_text(encoding="utf-8") == plan

    runner.github_job(workflow, "comment")
    runner.environment["COMMENTS"] = "41\n43\n"
    runner.github_job(workflow, "comment")
    body = f"--field body=@{tmp_path}/temp/plan.md"
    assert [call for call in runner.calls if "--paginate" not in call] == [
        f"api --method POST repos/shop/tills/issues/7/comments {body}",
        f"api --method PATCH repos/shop/tills/issues/comments/41 {body}",
    ]

    for shard in workflow["jobs"]["build"]["strategy"]["matrix"]["shard"]:
        runner.values["matrix.shard"] = str(shard)
        runner.github_job(workflow, "build")
    runner.github_job(workflow, "artifacts")
    built = blobs(tmp_path / "uploads", "store-*")
    assert blobs(tmp_path / "uploads", "whole-store") == built, "something was built again"
    (tmp_path / "calls").unlink()
    runner.values |= {"matrix.class": CLASSES[0], "strategy.job-index": "0"}
    runner.github_job(workflow, "test")
    assert (tmp_path / "uploads" / "junit-0" / "junit.xml").exists()

    runner.values |= {"vars.SLMC_DESTINATION": "oci://registry.example/tills"}
    runner.values |= {
        f"secrets.SLMC_{name}": name for name in ("REGISTRY_USERNAME", "REGISTRY_PASSWORD", "RELEASE_KEY")
    }
    runner.environment["GITHUB_REF_NAME"] = "main"
    runner.github_job(workflow, "release")
    runner.github_job(workflow, "release")  # nothing new to commit
    key = f"{tmp_path}/temp/release-key"
    assert runner.calls[:4] == [
        f"test . --class counter-pi --junit {tmp_path}/temp/junit.xml",
        "push . oci://registry.example/tills",
        f"release . --key {key}",
        "RELEASE_KEY",
    ]
    assert not Path(key).exists()
    assert runner.git("log", "--format=%s", "main", cwd=tmp_path / "origin").splitlines() == [
        "Release",
        "Three threads",
        "Start",
    ]


class _Notes(BaseHTTPRequestHandler):
    """As much of GitLab's notes as the job asks for, in pages of one."""

    notes: list[dict[str, Any]]

    def _answer(self, value: Any, following: str = "") -> None:
        self.send_response(200)
        self.send_header("X-Next-Page", following)
        self.end_headers()
        self.wfile.write(json.dumps(value).encode())

    def do_GET(self) -> None:
        assert self.headers["PRIVATE-TOKEN"] == "secret"
        if self.path == "/user":
            return self._answer({"id": 5})
        page = int(self.path.rpartition("=")[2])
        return self._answer(self.notes[page - 1 : page], str(page + 1) if page < len(self.notes) else "")

    def do_POST(self) -> None:
        body = json.loads(self.rfile.read(int(self.headers["Content-Length"])))["body"]
        if self.command == "POST":
            self.notes.append({"id": 100, "author": {"id": 5}, "body": body})
        else:
            next(note for note in self.notes if self.path.endswith(f"/notes/{note['id']}"))["body"] = body
        self._answer({})

    do_PUT = do_POST

    def log_message(self, *words: object) -> None:
        pass


@contextmanager
def forge(notes: list[dict[str, Any]]) -> Iterator[str]:
    server = HTTPServer(("127.0.0.1", 0), type("Notes", (_Notes,), {"notes": notes}))
    thread = threading.Thread(target=server.serve_forever)
    thread.start()
    try:
        yield f"http://127.0.0.1:{server.server_port}"
    finally:
        server.shutdown()
        thread.join()
        server.server_close()


def comment_twice(runner: Runner, pipeline: dict[str, Any], file: Path) -> None:
    """The plan is a note of its own, which the second one replaces."""
    plan = file.read_text(encoding="utf-8")
    others = [{"id": 1, "author": {"id": 4}, "body": plan}, {"id": 2, "author": {"id": 5}, "body": "Hello"}]
    notes = list(others)
    with forge(notes) as api:
        where = {
            "CI_API_V4_URL": api,
            "CI_PROJECT_ID": "9",
            "CI_MERGE_REQUEST_IID": "7",
            "SLMC_COMMENT_TOKEN": "secret",
        }
        runner.gitlab_job(pipeline, "comment", **where)
        assert notes == [*others, {"id": 100, "author": {"id": 5}, "body": plan}]
        file.write_text(f"{MARKER}later", encoding="utf-8")
        runner.gitlab_job(pipeline, "comment", **where)
    assert notes == [*others, {"id": 100, "author": {"id": 5}, "body": f"{MARKER}later"}]


@pytest.mark.slow
def test_the_scripts_of_gitlab_run(tmp_path: Path) -> None:
    runner, pipeline = prepared(tmp_path, "gitlab"), gitlab()
    files = tmp_path / "repository" / ".slmc"
    base = runner.git("rev-parse", "main").strip()
    runner.gitlab_job(pipeline, "check", CI_MERGE_REQUEST_DIFF_BASE_SHA=base, CI_JOB_IMAGE="image@sha256:1")
    plan = (files / "plan.md").read_text(encoding="utf-8")
    assert plan.startswith(MARKER)
    child = json.loads((files / "tests.yml").read_text(encoding="utf-8"))
    assert child["class"]["parallel"] == {"matrix": [{"CLASS": CLASSES}]}
    assert child["class"]["image"] == "image@sha256:1"
    (files / "tests.yml").rename(tmp_path / "tests.yml")
    done = run("check-jsonschema", "--builtin-schema", "vendor.gitlab-ci", "--color", "never", tmp_path / "tests.yml")
    assert done.returncode == 0, done.stdout

    comment_twice(runner, pipeline, files / "plan.md")

    for shard in range(1, pipeline["jobs"]["build"]["parallel"] + 1):
        runner.gitlab_job(pipeline, "build", CI_NODE_INDEX=str(shard), CI_NODE_TOTAL="3")
        shutil.rmtree(files / "store", ignore_errors=True)
    runner.gitlab_job(pipeline, "artifacts")
    assert blobs(files, "store") == blobs(files, "parts/*"), "something was built again"
    script = "\n".join(child["class"]["script"][1:])
    assert runner.shell(script, {"WORKSPACE": ".", "CLASS": CLASSES[1]}).returncode == 0

    key = tmp_path / "key"
    key.write_text("RELEASE_KEY\n")
    remote = f"url.{tmp_path}/origin.insteadOf"
    runner.git("config", remote, "https://slmc:push@forge.example/shop/tills.git")
    runner.git("config", "receive.advertisePushOptions", "true", cwd=tmp_path / "origin")
    runner.gitlab_job(
        pipeline,
        "release",
        SLMC_DESTINATION="oci://registry.example/tills",
        SLMC_RELEASE_KEY=str(key),
        SLMC_PUSH_TOKEN="push",
        CI_SERVER_HOST="forge.example",
        CI_PROJECT_PATH="shop/tills",
        CI_COMMIT_BRANCH="main",
    )
    assert key.stat().st_mode & 0o777 == 0o600
    assert runner.calls == [
        "test . --class office-n100 --junit .slmc/junit.xml",
        "push . oci://registry.example/tills",
        f"release . --key {key}",
        "RELEASE_KEY",
    ]
    assert runner.git("log", "--format=%s", "main", cwd=tmp_path / "origin").splitlines()[0] == "Release"
    assert not runner.git("ls-tree", "-r", "--name-only", "main", ".slmc", cwd=tmp_path / "origin")
