"""`momentum-optax sweep`."""

from pathlib import Path
from typing import Annotated

import typer

from ..sweeps.engine.strategy import STRATEGIES
from . import study, texts
from .errors import bad
from .report_command import MODES
from .running import Cluster, run
from .study_file import exclusive, read_study, tables

USAGES = ", ".join(usage for _, usage in texts.PRUNING.values())


def sweep(
    context: typer.Context,
    file: Annotated[
        Path | None,
        typer.Argument(
            callback=read_study, is_eager=True, show_default=False, help="TOML file whose keys are the options below."
        ),
    ] = None,
    method: Annotated[
        list[str] | None,
        typer.Option(help=f"A method; repeat it, or separate by commas. [default: {study.METHODS}]"),
    ] = None,
    learning_rate: Annotated[
        str | None, typer.Option(help=f"Learning rates, separated by commas. [default: {study.LEARNING_RATES}]")
    ] = None,
    beta: Annotated[
        str | None, typer.Option(help=f"Betas, for methods that have one. [default: {study.BETAS}]")
    ] = None,
    batch_size: Annotated[int | None, typer.Option(help=f"Samples per update. [default: {study.BATCH_SIZE}]")] = None,
    quick: Annotated[bool, typer.Option("--quick", help="Smaller defaults, for a first look.")] = False,
    trial: Annotated[
        str | None, typer.Option(metavar="MODULE:FUNCTION", help="Makes a trial of your own, instead of the digits.")
    ] = None,
    set_: Annotated[
        list[str] | None, typer.Option("--set", metavar="NAME=VALUE", help="An argument of that function; repeat it.")
    ] = None,
    point: Annotated[
        list[str] | None,
        typer.Option(
            metavar="NAME=VALUES",
            help="What to try of a hyperparameter: NAME=0.1,0.2 or NAME=SCALE:LOW:HIGH:COUNT, on the scale linear, "
            'log, one_minus_log or integers. "NAME=VALUES when OTHER=VALUE" is for some points only. Repeat it.',
        ),
    ] = None,
    points: Annotated[
        Path | None, typer.Option(metavar="FILE", help="TOML file of the points, as for sweeps.points_from_toml.")
    ] = None,
    sampler: Annotated[
        str | None,
        typer.Option(help="What to make of --point: grid, zip, random:N[:SEED] or sobol:N[:SEED]. [default: grid]"),
    ] = None,
    seeds: Annotated[
        str | None,
        typer.Option(
            metavar="COUNT|SEED,SEED,...",
            help="How many seeds each point runs from, 5 for 0 to 4, or the seeds themselves, separated by commas; "
            f'"7," is one. [default: {study.SEEDS}, of a trial 5]',
        ),
    ] = None,
    steps: Annotated[
        int | None, typer.Option(help=f"Updates per run. [default: {study.STEPS}, of a trial 300]")
    ] = None,
    epochs: Annotated[int | None, typer.Option(help="Instead of --steps: passes over the data.")] = None,
    evaluate_every: Annotated[int | None, typer.Option(help="Updates between evaluations.")] = None,
    folds: Annotated[int | None, typer.Option(help="Parts of a cross-validation. [default: none]")] = None,
    metric: Annotated[
        str | None, typer.Option(help="What to rank and prune by. [default: test_accuracy or alike]")
    ] = None,
    mode: Annotated[str | None, typer.Option(metavar="max|min", help="Which is better. [default: by its name]")] = None,
    prune: Annotated[str | None, typer.Option(metavar="RULE", help=f"Stop bad points early: {USAGES}.")] = None,
    strategy: Annotated[str, typer.Option(help=f"How runs are trained: {', '.join(STRATEGIES)}.")] = "auto",
    lanes_per_chunk: Annotated[str, typer.Option(help="Runs that a device trains at the same time.")] = "auto",
    coordinator: Annotated[
        str | None, typer.Option(metavar="HOST:PORT", help="Of process 0, where several processes share the sweep.")
    ] = None,
    processes: Annotated[int | None, typer.Option(help="How many they are.")] = None,
    process: Annotated[int | None, typer.Option(help="Which of them this one is, from 0.")] = None,
    distributed: Annotated[
        bool, typer.Option("--distributed", help="Several processes, found by SLURM, Kubernetes or a TPU pod.")
    ] = False,
    output: Annotated[
        Path, typer.Option(help="Folder for tables and pictures, and for what a sweep needs to go on.")
    ] = Path("momentum-optax-results"),
    resume: Annotated[
        bool, typer.Option(help="Go on with what the same command began, or throw away what is in the folder.")
    ] = True,
    parquet: Annotated[bool, typer.Option("--parquet", help="Write runs.parquet too.")] = False,
    quiet: Annotated[bool, typer.Option("--quiet", help="Show neither progress nor table.")] = False,
) -> None:
    """Trains every point from every seed and ranks them: methods on handwritten digits, or a trial of your own.

    The same command again goes on where it was stopped, however that was, and repeats nothing that was finished.
    """
    steps, epochs = exclusive(context, steps=texts.count("--steps", steps), epochs=texts.count("--epochs", epochs))
    point, points = exclusive(context, point=point, points=points)
    options = {
        "seeds": texts.seeds(seeds),
        "steps": steps,
        "epochs": epochs,
        "evaluate_every": texts.count("--evaluate-every", evaluate_every),
        "folds": texts.count("--folds", folds, least=2),
        "metric": metric,
        "mode": texts.one_of("--mode", mode, MODES),
        "pruning": texts.pruning(prune),
        "strategy": texts.one_of("--strategy", strategy, STRATEGIES),
        "lanes_per_chunk": texts.chunk(lanes_per_chunk),
    }
    texts.count("--batch-size", batch_size)
    cluster = Cluster.of(coordinator, processes, process, distributed)
    found = study.user_points(point, sampler, points, None if point or points else tables(context).get("points"))
    if trial is None:
        if set_ or "set" in tables(context):
            raise bad("--set", "this is for the function of --trial")
        what = study.built_in(method, learning_rate, beta, batch_size, quick, found, options)
    else:
        digits = {
            "method": method,
            "learning_rate": learning_rate,
            "beta": beta,
            "batch_size": batch_size,
            "quick": quick,
        }
        if given := [name for name, value in digits.items() if value]:
            raise bad(f"--{given[0].replace('_', '-')}", "this is for the digits, not for a --trial of your own")
        arguments = {name: texts.value(text) for name, text in texts.assignments("--set", set_ or ()).items()}
        what = study.own(trial, tables(context).get("set", {}) | arguments, found, options)
    run(what, output, cluster, resume=resume, parquet=parquet, quiet=quiet)
