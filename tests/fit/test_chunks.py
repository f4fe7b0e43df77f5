"""Rows in chunks, with weights, over several processes, and fits that are killed."""

from __future__ import annotations

import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import pyarrow as pa
import pyarrow.parquet as pq
import pytest
import torch
from torch import Tensor

import edgewise as ew
from edgewise._fit import CrossEntropy, Huber, Loss, Squared, normal_equations
from edgewise._fit._stream import Stream
from edgewise._fit._team import Team


def rows(count: int, seed: int = 0) -> tuple[Tensor, Tensor]:
    generator = torch.Generator().manual_seed(seed)
    x = 2 * torch.rand(count, 2, dtype=torch.float64, generator=generator) - 1
    return x, torch.exp(torch.sin(torch.pi * x[:, :1]) + x[:, 1:] ** 2)


def fit(*data: object, **settings: object) -> ew.FitResult:
    torch.manual_seed(0)
    quick = {"seed": 0, "starts": 1, "refine": 12, "progress": False, **settings}
    return ew.fit(ew.KAN([2, 1, 1]), *data, **quick)


def cut(x: Tensor, y: Tensor, size: int) -> list[tuple[Tensor, Tensor]]:
    return list(zip(x.split(size), y.split(size), strict=True))


def write(path: Path, x: Tensor, y: Tensor, group: int) -> Path:
    columns = {"a": x[:, 0].numpy(), "b": x[:, 1].numpy(), "y": y[:, 0].numpy()}
    pq.write_table(pa.table(columns), path, row_group_size=group)
    return path


# chunks


def test_chunks_give_what_all_rows_give() -> None:
    x, y = rows(1200)
    held = rows(300, seed=1)
    whole = fit(x, y, held_out=held)
    for size in (1200, 500, 100):
        pieces = fit(cut(x, y, size), held_out=held)
        assert pieces.held_out == pytest.approx(whole.held_out, rel=0.01)
        torch.testing.assert_close(pieces.model(x), whole.model(x), rtol=0, atol=1e-5)


def test_a_dataloader_is_gone_through() -> None:
    x, y = rows(600)
    loader = torch.utils.data.DataLoader(torch.utils.data.TensorDataset(x, y), batch_size=100)
    assert fit(loader).held_out < 2e-3


ADAM = ew.Adam(epochs=150, batch=32)


@pytest.mark.parametrize("solver", ["gauss-newton-cg", "lbfgs", ADAM], ids=repr)
def test_other_solvers_take_chunks(solver: ew.Solver | str) -> None:
    x, y = rows(600)
    assert fit(cut(x, y, 100), solver=solver, refine=False).held_out < 0.5


def test_rows_held_out_of_chunks_are_the_same_in_every_pass() -> None:
    x, y = rows(1000)
    x[:, 0] = torch.arange(1000)
    stream = Stream(cut(x, y, 128), ew.KAN([2, 1]), Squared(), seed=3, team=Team())
    data = stream.survey(0.2)
    for _ in range(2):
        seen = torch.cat([chunk.x[:, 0] for chunk in data.chunks()])
        assert len(seen) + len(data.x_held) == 1000
        assert not set(seen.tolist()) & set(data.x_held[:, 0].tolist())
    assert data.count == len(seen)
    assert 150 < len(data.x_held) < 250


def test_what_stays_in_memory_is_bounded(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("edgewise._fit._stream._MOST_HELD", 100)
    x, y = rows(5000)
    data = Stream(cut(x, y, 500), ew.KAN([2, 1]), Squared(), seed=0, team=Team()).survey(0.2)
    assert 100 <= len(data.x_held) <= 200
    assert 100 <= len(data.x) <= 200 + 10 * 4
    assert torch.equal(data.x.amax(0), x.amax(0))  # the extremes are among them
    assert sum(len(chunk.x) for chunk in data.chunks()) == 5000 - len(data.x_held)


class Endless:
    def __iter__(self) -> Iterator[tuple[Tensor, Tensor]]:
        x, y = rows(100)
        yield x, y
        yield x, torch.full_like(y, float("nan"))


def test_mistakes_in_chunks_have_their_message() -> None:
    x, y = rows(100)
    with pytest.raises(ew.DataError, match="a generator is used up"):
        fit(chunk for chunk in cut(x, y, 50))
    with pytest.raises(ew.DataError, match="y of chunk 1 has 100 missing"):
        fit(Endless())
    with pytest.raises(ew.ShapeError, match="x of chunk 0 must have the shape"):
        fit([(x[:, :1], y)])
    with pytest.raises(ew.DataError, match=r"A chunk is \(x, y\)"):
        fit([x])
    with pytest.raises(ew.DataError, match="at least 10 rows, got 4"):
        fit(cut(x[:4], y[:4], 2))
    with pytest.raises(ew.DataError, match="Column 1 of x is constant"):
        fit(cut(x * torch.tensor([1.0, 0.0]), y, 20))
    with pytest.raises(ew.ConfigError, match="bring their weights along"):
        fit(cut(x, y, 20), weights=torch.ones(100))
    with pytest.raises(ew.ConfigError, match="Without y, x gives the rows in chunks"):
        fit(3.0)


# Parquet


def test_parquet_gives_its_rows(tmp_path: Path) -> None:
    x, y = rows(1000)
    table = ew.Parquet(write(tmp_path / "t.parquet", x, y, 300), target="y", rows=100)
    assert table.inputs == ["a", "b"]
    found = [torch.cat(parts) for parts in zip(*table, strict=True)]
    assert torch.equal(found[0], x)
    assert torch.equal(found[1], y)
    shares = [[number for number, _ in table.numbered(rank, 3)] for rank in range(3)]
    assert sum(len(share) for share in shares) == 10
    assert len({number for share in shares for number in share}) == 10


def test_a_folder_of_parquet_files_is_one_table(tmp_path: Path) -> None:
    x, y = rows(900)
    for n, (part, target) in enumerate(cut(x, y, 300)):
        write(tmp_path / f"{n}.parquet", part, target, 100)
    assert fit(ew.Parquet(tmp_path, target="y")).held_out < 2e-3


def test_parquet_says_what_is_wrong(tmp_path: Path) -> None:
    path = tmp_path / "t.parquet"
    pq.write_table(pa.table({"a": [1.0, 2.0], "name": ["x", "y"], "y": [1, 2]}), path)
    with pytest.raises(ew.DataError, match="There is no table"):
        ew.Parquet(tmp_path / "none.parquet", target="y")
    with pytest.raises(ew.DataError, match=r"has no column 'z'\. It has: a, name, y"):
        ew.Parquet(path, target="z")
    with pytest.raises(ew.DataError, match=r"Column 'name' .* holds string, not numbers"):
        ew.Parquet(path, target="y")
    assert ew.Parquet(path, target="y", inputs=["a"]).inputs == ["a"]
    with pytest.raises(ew.ConfigError, match="rows must be at least 1"):
        ew.Parquet(path, target="y", inputs=["a"], rows=0)


# weights


@pytest.mark.parametrize("loss", [Squared(), Huber(0.3), CrossEntropy()], ids=repr)
def test_a_row_that_counts_twice_is_there_twice(loss: Loss) -> None:
    model = ew.KAN([2, 2, 2])
    x = rows(200)[0]
    classes = isinstance(loss, CrossEntropy)
    y = torch.randint(0, 2, (200,)) if classes else torch.randn(200, 2, dtype=torch.float64)
    twice = torch.arange(200) < 70
    weighted = normal_equations(model, x, y, loss, 1.0 + twice.double())
    repeated = normal_equations(model, torch.cat([x, x[twice]]), torch.cat([y, y[twice]]), loss)
    for ours, expected in zip(weighted, repeated, strict=True):
        torch.testing.assert_close(ours, expected, rtol=1e-10, atol=1e-12)


@pytest.mark.parametrize(
    "solver", ["levenberg-marquardt", "gauss-newton-cg", "lbfgs", ADAM], ids=repr
)
def test_rows_that_do_not_count_are_not_seen(solver: ew.Solver | str) -> None:
    x, y = rows(300)
    wrong = torch.arange(300) % 3 == 0
    spoiled = torch.where(wrong.unsqueeze(-1), torch.full_like(y, 50.0), y)
    weights = (~wrong).double()
    model = fit(x, spoiled, weights=weights, solver=solver, refine=False).model
    seen = model(x).detach()
    assert float((seen - y)[~wrong].square().mean().sqrt()) < 1


def test_mistakes_in_weights_have_their_message() -> None:
    x, y = rows(50)
    for weights, message in (
        (torch.ones(49), r"must have the shape \(50,\)"),
        (-torch.ones(50), "must be 0 or more"),
        (torch.zeros(50), "not all 0"),
        (torch.full((50,), float("nan")), "missing or infinite"),
    ):
        with pytest.raises(ew.EdgewiseError, match=message):
            fit(x, y, weights=weights)


# several processes

TOGETHER = """
import sys, torch, edgewise as ew
from torch import distributed as dist
dist.init_process_group("gloo")
torch.set_num_threads(1)
torch.manual_seed(dist.get_rank())  # what a process draws by itself must not matter
model = ew.KAN([2, 1, 1])
model.reset_parameters(generator=torch.Generator().manual_seed(0))
table = ew.Parquet(sys.argv[1], target="y", rows=200)
result = ew.fit(
    model, table, solver=sys.argv[3], seed=0, starts=2, refine=12, progress=False
)
with open(f"{sys.argv[2]}-{dist.get_rank()}", "w") as file:
    file.write(f"{result.held_out!r} {result.train!r}")
if dist.get_rank() == 0:
    ew.save(result.model, sys.argv[2])
dist.destroy_process_group()
"""


def together(
    processes: int, table: Path, out: Path, solver: str = "auto"
) -> tuple[list[str], ew.KAN]:
    program = table.parent / "program.py"
    program.write_text(TOGETHER)
    command = [sys.executable, "-m", "torch.distributed.run", "--standalone"]
    command += ["--nproc-per-node", str(processes), str(program), str(table), str(out), solver]
    done = subprocess.run(command, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr
    return [Path(f"{out}-{rank}").read_text() for rank in range(processes)], ew.load(out)


def test_one_and_two_processes_give_the_same_fit(tmp_path: Path) -> None:
    x, y = rows(1500)
    table = write(tmp_path / "t.parquet", x, y, 200)
    alone, one = together(1, table, tmp_path / "one.safetensors")
    both, two = together(2, table, tmp_path / "two.safetensors")
    assert len(alone) == 1
    assert len(both) == 2
    assert both[0] == both[1]
    assert float(alone[0].split()[0]) < 1e-3
    torch.testing.assert_close(one(x), two(x), rtol=0, atol=1e-9)


def test_two_processes_agree_on_conjugate_gradients(tmp_path: Path) -> None:
    x, y = rows(1500)
    table = write(tmp_path / "t.parquet", x, y, 200)
    both, model = together(2, table, tmp_path / "two.safetensors", "gauss-newton-cg")
    assert both[0] == both[1]
    assert float((model(x) - y).square().mean().sqrt().detach()) < 1e-2


# fits that are killed

KILLED = """
import os, sys, torch, edgewise as ew
from edgewise._fit import _journal
record, left = _journal.Journal.record, int(sys.argv[2])
def dying(self, problem):
    global left
    record(self, problem)
    left -= 1
    if left == 0:
        os._exit(9)
_journal.Journal.record = dying
torch.manual_seed(0)
x = 2 * torch.rand(400, 2, dtype=torch.float64) - 1
y = torch.exp(torch.sin(torch.pi * x[:, :1]) + x[:, 1:] ** 2)
model = ew.KAN([2, 2, 1])
result = ew.fit(model, x, y, seed=0, refine=12, checkpoint=sys.argv[1], progress=False)
print(repr(result.held_out), len(result.history), len(result.trials))
ew.save(result.model, sys.argv[3])
"""


def killed(folder: Path, after: int, out: Path) -> subprocess.CompletedProcess[str]:
    return subprocess.run(
        [sys.executable, "-c", KILLED, str(folder), str(after), str(out)],
        capture_output=True,
        text=True,
        check=False,
    )


def test_a_fit_that_was_killed_goes_on_to_the_same_result(tmp_path: Path) -> None:
    whole = killed(tmp_path / "whole", -1, tmp_path / "whole.safetensors")
    assert whole.returncode == 0, whole.stderr
    for after in (2, 3):  # killed twice
        died = killed(tmp_path / "again", after, tmp_path / "again.safetensors")
        assert died.returncode == 9, died.stderr
    again = killed(tmp_path / "again", -1, tmp_path / "again.safetensors")
    assert again.stdout == whole.stdout
    one, two = (ew.load(tmp_path / f"{name}.safetensors") for name in ("whole", "again"))
    for first, second in zip(one.state_dict().values(), two.state_dict().values(), strict=True):
        assert torch.equal(first, second)


def test_a_checkpoint_belongs_to_one_fit(tmp_path: Path) -> None:
    x, y = rows(100)
    fit(x, y, checkpoint=tmp_path / "c", refine=False)
    before = sorted(path.name for path in (tmp_path / "c").iterdir())
    fit(x, y, checkpoint=tmp_path / "c", refine=False)
    assert before == sorted(path.name for path in (tmp_path / "c").iterdir())
    with pytest.raises(ew.ConfigError, match="belongs to a fit of another network, other data"):
        fit(x, 2 * y, checkpoint=tmp_path / "c", refine=False)
    with pytest.raises(ew.ConfigError, match="needs a seed"):
        fit(x, y, checkpoint=tmp_path / "d", seed=None)
    (tmp_path / "full").mkdir()
    (tmp_path / "full" / "letter.txt").write_text("mine")
    with pytest.raises(ew.ConfigError, match="not empty and holds no checkpoint"):
        fit(x, y, checkpoint=tmp_path / "full")
