"""The threat model keeps to what is tested: each test that it names exists, and each promise names one."""

import ast
import json
import re
from pathlib import Path

import pytest

REPOSITORY = Path(__file__).parents[2]
SECURITY = (REPOSITORY / "docs/security.md").read_text()
NAMED = sorted(set(re.findall(r"`(tests/[^`:]+)::([^`]+)`", SECURITY)))
POLICY = json.loads((REPOSITORY / "deploy/iam-policy.json").read_text())


@pytest.mark.parametrize(("path", "name"), NAMED, ids=[name for _, name in NAMED])
def test_every_test_that_the_threat_model_names_exists(path: str, name: str) -> None:
    module = ast.parse((REPOSITORY / path).read_text())
    assert name in {node.name for node in module.body if isinstance(node, ast.FunctionDef)}


def test_every_promise_of_the_threat_model_names_a_test() -> None:
    rows = [line for line in SECURITY.splitlines() if line.startswith("| ")]
    promises = [row for row in rows if not row.startswith(("| what ", "| --- "))]
    assert len(promises) >= 25
    assert [row for row in promises if "::test_" not in row.split("|")[3]] == []


@pytest.mark.parametrize(
    "attacker", ["card made by a stranger", "guest who has the link", "other hands", "network", "steals the machine"]
)
def test_every_attacker_has_what_is_promised_and_what_is_not(attacker: str) -> None:
    (section,) = (part for part in SECURITY.split("\n## ") if attacker in part.splitlines()[0])
    assert "| what is promised |" in section
    assert "\nNot promised: " in section


def test_the_policy_lets_nobody_delete_a_gallery_or_change_rights() -> None:
    allowed = {statement["Sid"]: set(statement["Action"]) for statement in POLICY["Statement"]}
    assert allowed == {
        "GalleriesOnly": {"s3:PutObject", "s3:GetObject", "s3:AbortMultipartUpload"},
        "DoctorTidiesUp": {"s3:DeleteObject"},
        "SeeWhatIsThere": {"s3:ListBucket", "s3:ListBucketMultipartUploads", "s3:GetBucketLocation"},
    }
    (tidy,) = (statement["Resource"] for statement in POLICY["Statement"] if statement["Sid"] == "DoctorTidiesUp")
    assert tidy.endswith("/sessions/.doctor-*")  # no session's id begins with a dot
    assert {statement["Effect"] for statement in POLICY["Statement"]} == {"Allow"}
    assert all("*" not in statement["Resource"].removesuffix("*") for statement in POLICY["Statement"])
