"""The simulation behind docs/scaling.md: its servers take the time that arithmetic says, and no fault loses a row."""

from __future__ import annotations

import sys
from collections import Counter
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest

from deepwriting.pilot import Pilot, PilotRow
from deepwriting.recipe import load_recipe
from deepwriting.tally import Tally

simpy: Any = pytest.importorskip("simpy", reason="the simulation needs SimPy: pip install simpy")


@pytest.fixture(scope="module")
def sim() -> Iterator[Any]:
    folder = str(Path(__file__).parents[1] / "benchmarks")
    sys.path.insert(0, folder)
    from simulation import cluster, costs, pool, rows, servers, stages  # type: ignore[import-not-found]

    yield SimpleNamespace(
        **{
            name: part
            for module in (cluster, costs, pool, rows, servers, stages)
            for name, part in vars(module).items()
        }
    )
    sys.path.remove(folder)


@pytest.fixture
def env() -> Any:
    return simpy.Environment()


def generator_costs(sim: Any, **changes: Any) -> Any:
    costs = sim.GeneratorCosts(0.02, 0.001, 0.0, 1000.0, 8192, 1e6, 256, keeps_prefixes=False)
    return replace(costs, **changes)


def finish(env: Any, *events: Any) -> float:
    env.run(until=env.all_of(events))
    return float(env.now)


def test_a_lone_request_takes_a_prompt_pass_and_a_pass_a_token(sim: Any, env: Any) -> None:
    server = sim.Generator(env, sim.Device(), generator_costs(sim))
    job = sim.Job("a", 500.0, env.event(), outputs=(100.0,))
    assert finish(env, server.submit(job)) == pytest.approx(0.02 + 0.5 + 100 * 0.021)
    assert (server.sampled, server.prompted) == pytest.approx((100, 500))


def test_sequences_share_passes(sim: Any, env: Any) -> None:
    server = sim.Generator(env, sim.Device(), generator_costs(sim, prompt_rate=1e12))
    done = [server.submit(sim.Job(index, 10.0, env.event(), outputs=(100.0,))) for index in range(10)]
    assert finish(env, *done) == pytest.approx(0.02 * 10 + 100 * 0.03, rel=0.15)


def test_requests_wait_for_memory(sim: Any, env: Any) -> None:
    costs = generator_costs(sim, prompt_rate=1e12, per_sequence=0.0)
    together, apart = (
        finish_all(sim, replace(costs, memory=memory), count=4, prompt=100.0, tokens=100.0) for memory in (1e6, 300.0)
    )
    assert apart == pytest.approx(2 * together, rel=0.1)


def finish_all(sim: Any, costs: Any, *, count: int, prompt: float, tokens: float) -> float:
    env = simpy.Environment()
    server = sim.Generator(env, sim.Device(), costs)
    return finish(env, *(server.submit(sim.Job(i, prompt, env.event(), outputs=(tokens,))) for i in range(count)))


def test_a_kept_prefix_is_not_computed_again(sim: Any, env: Any) -> None:
    server = sim.Generator(env, sim.Device(), generator_costs(sim, keeps_prefixes=True))
    finish(env, server.submit(sim.Job("a", 800.0, env.event(), outputs=(1.0,))))
    finish(env, server.submit(sim.Job("a", 900.0, env.event(), shared=700.0, outputs=(1.0,))))
    finish(env, server.submit(sim.Job("b", 900.0, env.event(), shared=700.0, outputs=(1.0,))))
    assert server.prompted == pytest.approx(800 + 200 + 900)
    assert server.reused == pytest.approx(700)


def test_kept_prefixes_give_way_to_requests(sim: Any, env: Any) -> None:
    server = sim.Generator(env, sim.Device(), generator_costs(sim, keeps_prefixes=True, memory=1000.0))
    finish(env, server.submit(sim.Job("a", 800.0, env.event(), outputs=(1.0,))))
    finish(env, server.submit(sim.Job("b", 800.0, env.event(), outputs=(1.0,))))
    finish(env, server.submit(sim.Job("a", 800.0, env.event(), shared=800.0, outputs=(1.0,))))
    assert server.reused == 0


def test_what_waits_is_scored_together(sim: Any, env: Any) -> None:
    scorer = sim.Scorer(env, sim.Device(), sim.ScorerCosts(1.0, 0.0, 1000.0, 5000))
    done = [scorer.submit(sim.Job(index, 1000.0, env.event(), texts=2)) for index in range(4)]
    assert finish(env, done[0]) == pytest.approx(2)  # alone
    assert finish(env, *done) == pytest.approx(2 + 1 + 3)  # the three others in one pass


def test_engines_of_one_device_share_its_time(sim: Any, env: Any) -> None:
    device = sim.Device()
    one, other = (sim.Scorer(env, device, sim.ScorerCosts(0.0, 0.0, 1000.0, 5000)) for _ in range(2))
    first = one.submit(sim.Job("a", 1000.0, env.event(), texts=1))
    second = other.submit(sim.Job("b", 3000.0, env.event(), texts=1))
    assert finish(env, first) == pytest.approx(2)
    assert finish(env, second) == pytest.approx(4)


def test_a_remote_journal_commits_in_groups(sim: Any, env: Any) -> None:
    outcome = sim.Outcome()
    journal = sim._Journal(env, 0.1, outcome)
    waits = []

    def writer(at: float) -> Iterator[Any]:
        yield env.timeout(at)
        waits.append(journal.commit())

    for at in (0.0, 0.01, 0.02):
        env.process(writer(at))
    env.run()
    assert waits == pytest.approx([0.1, 0.19, 0.18])
    assert outcome.puts == 2


@pytest.fixture(scope="module")
def study(sim: Any) -> Any:
    costs = sim.Costs.read()
    search = load_recipe("deepwriting-20k")[0].search
    return SimpleNamespace(costs=costs, rows=sim.drawn_rows(costs, search, 120, 1))


@pytest.mark.parametrize(
    ("faults", "shown"),
    [
        ({"server_hours": 0.2}, "server_deaths"),
        ({"worker_hours": 0.2}, "worker_deaths"),
        ({"server_hours": 0.2, "worker_hours": 0.2, "slow_share": 0.5, "slow_speed": 0.5}, "resent"),
    ],
    ids=["servers die", "workers die", "everything"],
)
def test_no_fault_loses_a_row(sim: Any, study: Any, faults: dict[str, float], shown: str) -> None:
    quiet = sim.Cluster(3, 1, workers=3, tasks=3, concurrency=16, journal_seconds=0.1)
    calm = sim.Run(quiet, study.costs, study.rows).go()
    rough = sim.Run(replace(quiet, **faults), study.costs, study.rows).go()
    assert len(calm.ends) == len(rough.ends) == len(study.rows)
    assert calm.sampled == pytest.approx(calm.useful)
    assert rough.useful == pytest.approx(calm.useful)
    assert getattr(rough, shown) > 0
    assert rough.sampled > rough.useful
    assert rough.seconds > calm.seconds


def test_the_same_seed_gives_the_same_run(sim: Any, study: Any) -> None:
    cluster = sim.Cluster(2, 1, workers=2, tasks=4, concurrency=8, server_hours=0.5, seed=3)
    first, second = (vars(sim.Run(cluster, study.costs, study.rows[:40]).go()) for _ in range(2))
    assert first == second


def test_the_pilot_clock_deals_out_the_whole_time(sim: Any, study: Any) -> None:
    run = sim.Run(sim.Cluster(concurrency=8), study.costs, study.rows[:20], pilot=True)
    outcome = run.go()
    assert sum(outcome.shares.values()) == pytest.approx(outcome.seconds - study.costs["generator.start_seconds"])


def test_rows_like_a_pilots_take_as_much(sim: Any) -> None:
    tallies = {"generator": Tally(1000, 300, 0), "scorer": Tally(0, 0, 2000)}
    pilot = Pilot({"a": PilotRow(100, tallies, 5.0, steps=4, ended=True)})
    rows = sim.pilot_rows(pilot, 3, 1, candidates=2)
    sums = sim.totals(rows)
    assert sums == pytest.approx({"steps": 12, "prompt_tokens": 3000, "sampled_tokens": 900, "scored_tokens": 6000})
    assert Counter(len(step.outputs) for step in rows[0].steps) == {1: 1, 2: 4}


def test_fitted_passes_are_those_they_were_made_of(sim: Any) -> None:
    passes = [[n, t, 0.5 + 0.01 * n + t / 2000] for n, t in ((1, 100), (8, 900), (32, 20_000), (4, 40_000))]
    assert sim.fit_passes(passes) == pytest.approx((0.5, 0.01, 2000))


def test_a_card_too_small_for_the_weights_is_refused(sim: Any, study: Any) -> None:
    with pytest.raises(ValueError, match="no memory for a context"):
        sim.Run(sim.Cluster(), study.costs.but(gpu__memory_gb=60), study.rows)


def test_figures_say_where_they_come_from(sim: Any) -> None:
    for name, figure in sim.Costs.read().figures.items():
        assert figure.origin in ("measured", "published", "derived", "assumed"), name
        assert figure.source, name
        if figure.low is not None:
            assert figure.low <= figure.value <= figure.high, name


def test_a_phase_of_one_task_does_not_gain_from_workers(sim: Any) -> None:
    by_name = {(phase.stage, phase.name): phase for phase in sim.phases(sim.Costs.read())}
    verdicts, signatures = by_name["dedupe", "verdicts"], by_name["dedupe", "signatures"]
    assert verdicts.at(1.0, 64) == verdicts.at(1.0, 2)
    assert signatures.at(1.0, 64) == pytest.approx(signatures.at(1.0, 2) / 32)
    assert verdicts.at(10.0, 2) > 10 * verdicts.at(1.0, 2)


def test_the_page_shows_the_figures_as_they_are(sim: Any) -> None:
    page = (Path(__file__).parents[1] / "docs" / "scaling.md").read_text(encoding="utf-8")
    lines = {line.split("`")[1]: line for line in page.splitlines() if line.startswith("| `")}
    for name, figure in sim.Costs.read().figures.items():
        assert figure.origin in lines[name], name
        if isinstance(figure.value, (int, float)):
            assert f" {figure.value:,g} {figure.unit} " in lines[name], name
