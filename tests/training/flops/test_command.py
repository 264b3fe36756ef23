"""`pinpoint flops` as its users see it, and its output in the documentation."""

from __future__ import annotations

import json
import os
import re
import shlex
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest
from click.testing import CliRunner

from pinpoint_data.errors import PinpointError, TrainingError, UsageError
from tests.conftest import REPO
from tests.training.vlm.tiny import tiny_model_folder
from training.commands.flops import flops
from training.flops.architectures import PUBLISHED
from training.flops.literature import PRESETS

DOC = REPO / "docs" / "flops.md"
BLOCK = re.compile(r"```console\n\$ pinpoint flops (.*)\n([^`]*)```")


def run(*arguments: str) -> str:
    result = CliRunner().invoke(flops, list(arguments), catch_exceptions=False)
    assert result.exit_code == 0, result.output
    return result.output


def counted(*arguments: str) -> dict[str, Any]:
    found: dict[str, Any] = json.loads(run(*arguments, "--json"))
    return found


def test_every_component_has_a_line() -> None:
    text = run("--model", "llava-next-7b", "--preset", "spdocvqa", "--new-tokens", "8", "--coverage", "0.6")
    lines = text.splitlines()
    assert max(map(len, lines)) <= 100
    for stage, parts in {
        "encode": ("patch embedding", "layers, matrices", "layers, attention", "projector"),
        "select": ("aligner MLP of the page", "logits of the queries", "pooling of the windows", "cosines"),
        "refine": ("patch embedding", "layers, matrices", "layers, attention", "projector"),
        "prefill": ("layers, matrices", "layers, attention", "LM head"),
        "decode": ("layers, matrices", "layers, attention", "LM head"),
    }.items():
        for part in parts:
            assert any(re.match(rf" ?{stage} +{part} +([\d,.]+|-) ", line + " ") for line in lines), (stage, part)
    order = [line.split()[0] for line in lines if re.match(r" ?(encode|select|refine|prefill|decode) ", line)]
    assert list(dict.fromkeys(order)) == ["encode", "select", "refine", "prefill", "decode"]


def test_the_papers_ratios_stand_beside() -> None:
    text = run("--model", "qwen2-vl-7b", "--preset", "infovqa")
    assert re.search(r"PinPoint +65\.4% +55\.0% +56\.5% +59\.1%", text)
    assert re.search(r"ReFIT +63\.1% +54\.3% +55\.8% +49\.2%", text)
    assert "not published" in text


def test_json_adds_up() -> None:
    found = counted("--model", "qwen2-vl-7b", "--page", "1240x1754", "--coverage", "0.6,0.25", "--coverage", "0.1")
    assert [column["coverage"] for column in found["selected"]] == [0.6, 0.25, 0.1]
    whole = found["vanilla"]
    for column in (whole, *found["selected"]):
        assert column["total"] == sum(column["flops"].values())
        assert column["ratio"] == pytest.approx(column["total"] / whole["total"])
    totals = [column["total"] for column in found["selected"]]
    assert totals == sorted(totals, reverse=True)
    [page] = found["pages"]
    assert page["tokens"] == page["rows"] * page["cols"] == whole["visual_tokens"]


def test_options_do_what_they_say() -> None:
    base = ("--model", "qwen2-vl-7b", "--page", "1240x1754", "--coverage", "0.25")
    plain = counted(*base)
    assert plain["aligner"]["queries"] == 100
    [part] = plain["selected"]
    [kept] = counted(*base, "--no-refine")["selected"]
    assert not any(name.startswith("refine.") for name in kept["flops"])
    assert kept["visual_tokens"] == part["visual_tokens"]
    [wide] = counted(*base, "--queries", "200")["selected"]
    assert wide["flops"]["select.logits"] == 2 * part["flops"]["select.logits"]
    [deep] = counted(*base, "--dim", str(2 * plain["aligner"]["width"]))["selected"]
    assert deep["flops"]["select.pooling"] == 2 * part["flops"]["select.pooling"]
    assert counted(*base, "--max-pixels", "500000")["vanilla"]["visual_tokens"] <= 500_000 / 784
    assert counted(*base, "--question-tokens", "17")["reading"]["text_tokens"] == 57
    longer = counted(*base, "--new-tokens", "9")
    assert longer["vanilla"]["flops"]["decode.lm_head"] == 8 * longer["vanilla"]["flops"]["prefill.lm_head"]
    two = counted(*base, "--page", "1240x1754")
    assert two["vanilla"]["visual_tokens"] == 2 * plain["vanilla"]["visual_tokens"]


def test_a_folder(tmp_path: Path) -> None:
    folder = tiny_model_folder("llava-next", tmp_path / "tiny")
    for weights in folder.glob("*.safetensors"):
        weights.unlink()
    text = run("--model", str(folder), "--page", "640x480")
    assert "MFLOPs" in text
    assert "5 tiles, 2,340 tokens (grid 36 x 48, view 576, row ends 36)" in text


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (("--model", "llava-next-7b"), "give --page or --preset"),
        (("--model", "llava-next-7b", "--page", "1x1", "--preset", "infovqa"), "only one of them"),
        (("--model", "llava-next-7b", "--page", "1240"), "--page must be WIDTHxHEIGHT"),
        (("--model", "llava-next-7b", "--page", "0x7"), "--page must be WIDTHxHEIGHT"),
        (("--model", "nowhere", "--page", "640x480"), "no model 'nowhere'; expected one of llava-next-7b"),
        (("--model", "qwen2-vl-7b", "--page", "640x480", "--coverage", "1.5"), "share in .0, 1., got '1.5'"),
        (("--model", "qwen2-vl-7b", "--page", "640x480", "--coverage", "0.5,"), "share in .0, 1., got ''"),
        (("--model", "qwen2-vl-7b", "--page", "640x480", "--coverage", "nan"), "share in .0, 1., got 'nan'"),
        (("--model", "llava-next-7b", "--page", "640x480", "--max-pixels", "9"), "are for Qwen models"),
        (("--model", "llava-next-7b", "--page", "640x480", "--select-pixels", "9"), "are for Qwen models"),
        (
            ("--model", "qwen2-vl-7b", "--page", "640x480", "--select-pixels", "9", "--no-refine"),
            "--select-pixels needs refinement",
        ),
        (("--model", "qwen2-vl-7b", "--page", "1x5000"), "aspect ratio must be smaller than 200"),
    ],
)
def test_what_cannot_be_counted_is_refused(arguments: tuple[str, ...], message: str) -> None:
    with pytest.raises(PinpointError, match=message) as caught:
        run(*arguments)
    assert "\n" not in str(caught.value)


def test_a_folder_of_something_else(tmp_path: Path) -> None:
    (tmp_path / "config.json").write_text('{"model_type": "bert"}')
    with pytest.raises(UsageError, match="'bert' models cannot be counted"):
        run("--model", str(tmp_path), "--page", "640x480")
    (tmp_path / "config.json").write_text("[")
    with pytest.raises(TrainingError, match=r"config\.json"):
        run("--model", str(tmp_path), "--page", "640x480")


def test_a_published_model_needs_neither_torch_nor_transformers() -> None:
    program = (
        "import sys; from pinpoint_data.cli import main; sys.argv[1:] = "
        "['flops', '--model', 'qwen2-vl-7b', '--page', '640x480']\n"
        "try:\n    main()\nexcept SystemExit as done:\n    assert not done.code\n"
        "heavy = {'torch', 'transformers', 'datasets', 'pandas'} & set(sys.modules)\nassert not heavy, heavy"
    )
    result = subprocess.run([sys.executable, "-c", program], capture_output=True, text=True, check=False)
    assert result.returncode == 0, result.stderr


def test_help_names_every_published_model_and_preset() -> None:
    text = "".join(run("--help").split())
    assert all(name in text for name in PUBLISHED)
    assert f"[{'|'.join(PRESETS)}]" in text


def test_many_coverages_and_large_numbers_fit_the_width() -> None:
    shares = ",".join(f"{n / 100:g}" for n in range(5, 100, 5))
    for pages in (1, 60):
        arguments = ("--model", "llava-next-13b", *(("--page", "1000x1000") * pages), "--coverage", shares)
        text, scale = run(*arguments), 1e9 if pages == 1 else 1e12
        assert max(map(len, text.splitlines())) <= 100
        totals = [line.split()[1:] for line in text.splitlines() if line.startswith(" total")]
        found = [total for line in totals for total in line[1:]]
        assert found == [f"{column['total'] / scale:,.1f}" for column in counted(*arguments)["selected"]]


def test_a_first_look_with_fewer_pixels_costs_only_itself() -> None:
    arguments = ("--model", "qwen2-vl-7b", "--page", "1710x2220", "--coverage", "0.25")
    full, few = counted(*arguments), counted(*arguments, "--select-pixels", "1003520")
    alone = counted("--model", "qwen2-vl-7b", "--page", "1710x2220", "--coverage", "0.25", "--max-pixels", "1003520")
    assert few["vanilla"] == full["vanilla"]
    [of_full], [of_few], [of_alone] = full["selected"], few["selected"], alone["selected"]
    assert of_few["visual_tokens"] == of_full["visual_tokens"]
    for name, flops_ in of_few["flops"].items():
        source = of_alone if name.startswith(("encode", "select")) else of_full
        assert flops_ == source["flops"][name], name


def test_the_documented_tables_are_the_commands_output() -> None:
    text = DOC.read_text(encoding="utf-8")
    assert len(BLOCK.findall(text)) == 3
    made = BLOCK.sub(lambda found: f"```console\n$ pinpoint flops {found[1]}\n{run(*shlex.split(found[1]))}```", text)
    if os.environ.get("PINPOINT_UPDATE_GOLDEN") == "1":
        DOC.write_text(made, encoding="utf-8")
    assert DOC.read_text(encoding="utf-8") == made, "set PINPOINT_UPDATE_GOLDEN=1 to write them anew"
